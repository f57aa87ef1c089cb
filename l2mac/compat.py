"""The functions of release 0.0.3, on the runs of this implementation.

The parameters keep their meaning, with these differences:

- The functions return path → text instead of path → lines, and only if all checks pass in a fresh
  sandbox. Otherwise they raise `RunNotAccepted`, which holds the files.
- `run_tests=False` is accepted with a warning and does not switch checks off. `evaluator=False`
  omits the checks after every write; the final verification takes place in any case.
- `prompts_file_path` is a file that defines a domain (`l2mac run --domain-file`).
- `init_config` is refused: `l2mac init-config` writes the settings file.
- The working folder is written only if `project_name` asks for `./workspace/NAME`.

Every setting can be given by name: `generate_codebase("…", model="gpt-4.1", max_cost=2.0)`.
"""

import warnings
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from l2mac.api import FinishedRun, finished_run
from l2mac.cli.progress import Progress
from l2mac.control.outcome import Status
from l2mac.control.registry import MAX_INSTRUCTIONS, check_program
from l2mac.errors import RunNotAccepted, SettingsError
from l2mac.runs.execute import SessionResult
from l2mac.runs.program_file import given_program, load_program
from l2mac.runs.session import prepare_input, prepare_plan, start
from l2mac.settings.settings import PROJECT_FILE, load_settings, user_file
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import check_new_folder, export
from l2mac.workspace.input_folder import check_outside


class Domain(StrEnum):
    """Kind of work."""

    CODEBASE = "codebase"
    BOOK = "book"
    CUSTOM = "custom"


class DebuggingLevel(StrEnum):
    """Output on standard error: progress with `DEBUG` and `INFO`, or errors."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


def run_l2mac(
    prompt_task: str,
    domain: Domain | str = Domain.CODEBASE,
    run_tests: bool | None = None,  # noqa: FBT001 - the original's signature
    project_name: str | None = None,
    steps: int = 10,
    prompt_program: Sequence[str] | Path | str | None = None,
    prompts_file_path: Path | str | None = None,
    tools_enabled: Sequence[str] | str | None = None,
    debugging_level: DebuggingLevel | str = DebuggingLevel.INFO,
    init_config: bool = False,  # noqa: FBT001, FBT002 - the original's signature
    *,
    input_dir: Path | str | None = None,
    exclude: Sequence[str] = (),
    **settings: object,
) -> dict[str, str]:
    """Execute the task and return its files, path → text.

    Args:
        prompt_task: The task.
        domain: Kind of work.
        run_tests: Checks always run; False is accepted with a warning.
        project_name: Export the result to `./workspace/NAME`, which must not exist yet.
        steps: Maximum number of planned instructions.
        prompt_program: Instructions in order, as a list, a JSON list or a file.
        prompts_file_path: File that defines the domain; makes the domain `custom`.
        tools_enabled: Tools of the domain to offer, as a list or separated by commas.
        debugging_level: Output on standard error.
        init_config: Not supported; True is refused.
        input_dir: Folder with existing files to start from.
        exclude: Patterns of paths to exclude from the folder.
        settings: Settings by name, such as `model` and `max_cost`.

    Raises:
        RunNotAccepted: The run ended without passing all checks; the error holds its files.
        SettingsError: An argument or a setting is invalid; nothing has been started.
        SandboxError, L2macError: Engine, model or trace failed; the run can be resumed.
    """
    if init_config:
        raise SettingsError(
            "init_config",
            "The argument init_config is not supported. Use the command `l2mac init-config`.",
        )
    if run_tests is False:
        warnings.warn("run_tests=False has no effect. The checks always run.", stacklevel=2)
    given = {**settings, "steps": steps, **_of_the_domain(domain, prompts_file_path, tools_enabled)}
    folder = _workspace(project_name, input_dir)
    loaded = load_settings(given, project=Path(PROJECT_FILE), user=user_file())
    existing = prepare_input(loaded, None if input_dir is None else Path(input_dir), exclude)
    plan = prepare_plan(loaded, prompt_task, _program(prompt_program), existing)
    with Progress(quiet=_is_quiet(debugging_level)) as progress:
        result = start(loaded, plan, progress, run_input=existing)
    return _accepted(finished_run(result), result, folder)


def generate_codebase(prompt_task: str, **more: object) -> dict[str, str]:
    """Generate a codebase with tests; `more` as for `run_l2mac`, without `domain`."""
    return _run_of(Domain.CODEBASE, prompt_task, more)


def generate_book(prompt_task: str, **more: object) -> dict[str, str]:
    """Generate a book; `more` as for `run_l2mac`, without `domain`."""
    return _run_of(Domain.BOOK, prompt_task, more)


def generate_custom(prompt_task: str, **more: object) -> dict[str, str]:
    """Execute a task of the domain in `prompts_file_path`; `more` as for `run_l2mac`."""
    return _run_of(Domain.CUSTOM, prompt_task, more)


def _run_of(domain: Domain, task: str, more: Mapping[str, object]) -> dict[str, str]:
    return run_l2mac(task, domain=domain, **more)  # type: ignore[arg-type]  # checked at run time


def _is_quiet(level: DebuggingLevel | str) -> bool:
    if level not in list(DebuggingLevel):
        problem = f"debugging_level must be one of: {', '.join(DebuggingLevel)}."
        raise SettingsError("debugging_level", problem)
    return level in (DebuggingLevel.WARN, DebuggingLevel.ERROR)


def _of_the_domain(
    domain: Domain | str, file: Path | str | None, tools: Sequence[str] | str | None
) -> dict[str, object]:
    given: dict[str, object] = {"domain": str(Domain.CUSTOM if file else domain)}
    if file:
        given["domain_file"] = Path(file)
    if tools:
        given["tools"] = tools if isinstance(tools, str) else ",".join(tools)
    return given


def _program(given: Sequence[str] | Path | str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, Path):
        return load_program(given)
    if isinstance(given, str):
        return given_program(given)
    return check_program(list(given), at_most=MAX_INSTRUCTIONS, field="prompt_program")


def _workspace(name: str | None, input_dir: Path | str | None) -> Path | None:
    """Return the new folder for the result of a project, or None."""
    if name is None:
        return None
    if not name or name in (".", "..") or Path(name).name != name or "\0" in name:
        problem = f"project_name {name!r} is not a folder name. Use a plain name."
        raise SettingsError("project_name", problem)
    folder = Path("workspace") / name
    check_new_folder(folder, "project_name")
    if input_dir is not None:
        check_outside(Path(input_dir), folder, "project_name")
    return folder


def _accepted(finished: FinishedRun, result: SessionResult, folder: Path | None) -> dict[str, str]:
    if finished.status is not Status.COMPLETED:
        raise RunNotAccepted(finished.name, f"{finished.status}: {finished.cause}", finished.texts)
    if folder is not None:
        export(result.files, ObjectStore(result.folder / OBJECTS_FILE), folder)
    return dict(finished.texts)
