"""The tools that run the model's files in the sandbox."""

from pydantic import Field

from l2mac.evaluator.checks import describe
from l2mac.evaluator.pytest_report import judge_tests
from l2mac.evaluator.verdict import CheckReport
from l2mac.evaluator.wording import cause_sentence
from l2mac.file_store import Execution
from l2mac.tools.base import AnyTool, Arguments, Tool, ToolContext, ToolOutcome
from sandbox import Cause, Job, PathError, Refused, check_path

_SHOWN_PATHS = 20


class RunPythonFile(Arguments):
    """A program and its arguments."""

    path: str = Field(description="path of the Python file to run")
    arguments: list[str] = Field(default_factory=list, description="command line arguments")


class RunTests(Arguments):
    """Some tests or all."""

    paths: list[str] = Field(default_factory=list, description="test files to run; empty for all")


def execution_tools() -> tuple[AnyTool, ...]:
    """Return the tools in the order in which the model sees them."""
    return (
        Tool(
            "run_python_file",
            "Run a Python file; shows its output and exit code.",
            RunPythonFile,
            _run_file,
        ),
        Tool("run_tests", "Run the tests with pytest and show the failures.", RunTests, _run_tests),
    )


def _run_file(arguments: RunPythonFile, context: ToolContext) -> ToolOutcome:
    path = _existing(arguments.path, context)
    if any("\0" in argument for argument in arguments.arguments):
        raise Refused("an argument contains a NUL character")
    job = Job("program", argv=("python", *_program(path, context), *arguments.arguments))
    execution = context.store.execute(
        (job,), keep_changes=True, timeout_s=context.execution_timeout_s
    )
    result = execution.result.job("program")
    limit = context.outcome_characters // 2
    lines = [_ending(execution)]
    if result.output.total:
        lines.append(f"standard output:\n{result.output.text(limit)}")
    if result.errors.total:
        lines.append(f"standard error:\n{result.errors.text(limit)}")
    return ToolOutcome("\n".join(lines), ok=result.succeeded, changes=execution.kept)


def _program(path: str, context: ToolContext) -> tuple[str, ...]:
    """Return the interpreter's arguments that run a file.

    A member of a package runs as a module, so that its relative imports work.
    """
    files = {entry.path for entry in context.store.files}
    *folders, _ = path.split("/")
    packages = ["/".join(folders[: depth + 1]) for depth in range(len(folders))]
    is_member = bool(packages) and all(f"{package}/__init__.py" in files for package in packages)
    if is_member and path.endswith(".py"):
        return ("-m", path.removesuffix(".py").replace("/", "."))
    return (path,)


def _run_tests(arguments: RunTests, context: ToolContext) -> ToolOutcome:
    paths = []
    for wanted in arguments.paths:
        path, *test = wanted.partition("::")
        paths.append(_existing(path, context) + "".join(test))
    job = Job("tests", checker="pytest", paths=tuple(paths))
    execution = context.store.execute((job,), keep_changes=False)
    report = CheckReport((judge_tests(execution.result.job("tests")),))
    return ToolOutcome(describe(report, context.outcome_characters), ok=report.accepts_completion)


def _existing(path: str, context: ToolContext) -> str:
    try:
        check_path(path)
    except PathError as error:
        raise Refused(str(error)) from error
    if path not in {entry.path for entry in context.store.files}:
        raise Refused(f"there is no file {path!r}")
    return path


def _ending(execution: Execution) -> str:
    result, run = execution.result.job("program"), execution.result
    lines = ["it ended with exit code 0" if result.succeeded else cause_sentence(result)]
    if result.cause is not Cause.MEMORY and run.oom_kills:
        lines.append("a process of it ran out of memory")
    if result.cause is not Cause.PIDS and run.pids_denied:
        lines.append("it reached the limit of processes")
    if run.leftovers:
        lines.append(f"{run.leftovers} processes that it left running were ended")
    if execution.kept:
        paths = [change.path for change in execution.kept[:_SHOWN_PATHS]]
        lines.append(f"files that it wrote: {', '.join(paths)}")
    if execution.undone:
        shown = ", ".join(execution.undone[:_SHOWN_PATHS])
        lines.append(f"too large or too many to keep, put back: {shown}")
    if run.removed:
        lines.append(f"{run.removed} links, pipes or unacceptable names that it made were removed")
    return "; ".join(lines)
