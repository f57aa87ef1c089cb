"""`run`, `resume`, `replay`: the commands that execute a prompt program."""

import sys
from pathlib import Path
from typing import Any

import click

from l2mac.boxes import Boxes
from l2mac.cli.exit_codes import BY_STATUS, RECORD
from l2mac.cli.options import box_options, budget_options, model_options, output_options, runs_dir_option, settings_from
from l2mac.cli.progress import Progress
from l2mac.cli.report import print_result, result_as_json
from l2mac.dependencies import PackageMeans, recorded_fetch
from l2mac.domain import load_domain
from l2mac.errors import L2macError, SettingsError
from l2mac.export import Export, check_new_folder, export
from l2mac.means import check_packages, live_packages, make_means, make_plan, make_processor
from l2mac.openai_processor import OpenAIProcessor
from l2mac.program import load_program
from l2mac.replay_processor import ReplayProcessor
from l2mac.run import Means, Plan, Reason, RunResult, execute, find_run, new_run, recorded_plan, slug
from l2mac.settings import Settings
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Checked, InstructionCompleted, ProtocolChosen
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from sandbox import SandboxError

_MOST_TASK_BYTES = 1024 * 1024


@click.command
@click.argument("task", required=False)
@click.option("--task-file", type=click.Path(path_type=Path), help="Read the task from a file; - for standard input.")
@click.option("--program", type=click.Path(path_type=Path), help="Prompt program: a YAML, JSON or plain text file.")
@click.option("--domain", help="What is made. Default: codebase.")
@click.option("--steps", type=int, help="How many instructions the model may plan. Default: 10.")
@click.option("--output", type=click.Path(path_type=Path), help="New folder for the result. Default: ./workspace/NAME.")
@click.option("--seed", type=int, help="For servers that honour it.")
@click.option("--yes", is_flag=True, help="Never ask; for scripts.")
@model_options
@box_options
@budget_options
@runs_dir_option
@output_options
def run(
    task: str | None,
    task_file: Path | None,
    program: Path | None,
    output: Path | None,
    *,
    yes: bool,  # noqa: ARG001 - accepted from the start, so that scripts can say it; nothing is asked yet
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Plan TASK, write the code instruction by instruction with checks after every write, and export the result.

    TASK is the prompt; - or --task-file read it from elsewhere. Everything that the model writes is kept, checked
    and executed in a container without a network; the result is verified once more in a fresh one.

    \b
    Examples:
      l2mac run --model gpt-4.1 "a command line to-do list with due dates"
      l2mac run --base-url http://127.0.0.1:8000/v1 --model qwen --context-tokens 16384 --task-file task.txt
    """
    settings = settings_from(flags)
    settings.policy()
    load_domain(settings.domain)
    text = _read_task(task, task_file)
    plan = make_plan(settings, text, load_program(program) if program else ())
    folder = _output_folder(output, text)
    processor = make_processor(settings)
    with processor, Progress(quiet=quiet) as progress:
        with _boxes(settings, progress) as boxes:
            means = _live_means(settings, boxes, processor, progress)
            run_folder = new_run(settings.runs_dir.expanduser(), text)
            progress.say(f"run {run_folder.name}")
            result, exported = _work(run_folder, plan, means, "run", folder)
    return _finish(result, exported, as_json=as_json)


@click.command
@click.argument("name", metavar="[RUN]", default="last")
@click.option("--output", type=click.Path(path_type=Path), help="New folder for the result. Default: ./workspace/NAME.")
@model_options
@box_options
@budget_options
@runs_dir_option
@output_options
def resume(name: str, output: Path | None, *, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Go on with RUN at the instruction where it stopped, with the same files, in a new box.

    RUN is a run's name, the beginning of one, a path, or `last` (the default). Model and box are those of the run
    unless options say otherwise; budgets count what was spent before.
    """
    runs_dir = settings_from({"runs_dir": flags["runs_dir"]}).runs_dir.expanduser()
    source = find_run(runs_dir, name)
    plan = recorded_plan(source)
    settings = settings_from(flags, _recorded(plan, own=source.parent.resolve() == runs_dir.resolve()))
    check_packages(plan, settings)
    folder = _output_folder(output, plan.task)
    processor = make_processor(settings)
    with processor, Progress(quiet=quiet) as progress:
        with _boxes(settings, progress) as boxes:
            means = _live_means(settings, boxes, processor, progress)
            progress.say(f"resuming {source.name}")
            result, exported = _work(source, plan, means, "resume", folder)
    return _finish(result, exported, as_json=as_json)


@click.command
@click.argument("name", metavar="[RUN]", default="last")
@click.option("--output", type=click.Path(path_type=Path), help="New folder for the result. Default: ./workspace/NAME.")
@box_options
@runs_dir_option
@output_options
def replay(name: str, output: Path | None, *, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Repeat RUN from the replies in its record: same tool calls, same checks, in a new box, without a model.

    The files after every instruction must come to the same hashes as recorded; otherwise the exit code is not 0.
    """
    runs_dir = settings_from({"runs_dir": flags["runs_dir"]}).runs_dir.expanduser()
    source = find_run(runs_dir, name)
    plan = recorded_plan(source)
    settings = settings_from(flags, _recorded(plan, own=source.parent.resolve() == runs_dir.resolve()))
    events = [entry.event for entry in read_trace(source / "trace.jsonl")[0]]
    processor = ReplayProcessor.of(events, ObjectStore(source / OBJECTS_FILE))
    protocol = next((event.protocol for event in events if isinstance(event, ProtocolChosen)), "")
    folder = _output_folder(output, plan.task)
    with Progress(quiet=quiet) as progress, _boxes(settings, progress) as boxes:
        means = make_means(
            settings,
            boxes,
            processor,
            watch=progress.heard,
            listener=progress.on,
            negotiate=(lambda: protocol) if protocol else None,
            use_protocol=lambda _: None,
            packages=PackageMeans(recorded_fetch(events, ObjectStore(source / OBJECTS_FILE)), boxes.install_packages),
        )
        run_folder = new_run(runs_dir, plan.task)
        progress.say(f"replaying {source.name} as {run_folder.name}")
        result, exported = _work(run_folder, plan, means, "replay", folder)
    difference = _difference(source, run_folder)
    code = _finish(result, exported, as_json=as_json, replayed=processor.given, difference=difference)
    return RECORD if difference else code


def _live_means(settings: Settings, boxes: Boxes, processor: OpenAIProcessor, progress: Progress) -> Means:
    return make_means(
        settings,
        boxes,
        processor,
        watch=progress.heard,
        listener=progress.on,
        negotiate=lambda: processor.negotiate(progress.heard),
        use_protocol=processor.use_protocol,
        packages=live_packages(settings, boxes),
    )


def _work(folder: Path, plan: Plan, means: Means, reason: Reason, output: Path) -> tuple[RunResult, Export | None]:
    try:
        result = execute(folder, plan, means, reason)
    except (L2macError, SandboxError) as error:
        error.args = (f"{error}\nThe run is kept; go on with: l2mac resume {folder.name}",)
        raise
    except KeyboardInterrupt:
        click.echo(f"\nThe run is kept; go on with: l2mac resume {folder.name}", err=True)
        raise
    exported = export(result.files, ObjectStore(folder / OBJECTS_FILE), output) if result.files else None
    return result, exported


def _finish(
    result: RunResult, exported: Export | None, *, as_json: bool, replayed: int | None = None, difference: str = ""
) -> int:
    code = RECORD if difference else BY_STATUS[result.outcome.status]
    if as_json:
        click.echo(result_as_json(result, exported, code, replayed=replayed, difference=difference))
    else:
        print_result(result, exported, replayed=replayed, difference=difference)
    return code


def _boxes(settings: Settings, progress: Progress) -> Boxes:
    return Boxes.prepare(settings.image, settings.policy(), settings.cache_dir.expanduser(), progress.say)


def _recorded(plan: Plan, *, own: bool) -> dict[str, Any]:
    """Give the settings to take over from a record.

    One that does not lie among the user's own runs can have been made by anybody: it names no server that the key
    would be sent to, no image and no runtime.
    """
    return {**(plan.setup if own else {}), "context_tokens": plan.context_tokens, "domain": plan.domain}


def _read_task(task: str | None, task_file: Path | None) -> str:
    if task is not None and task_file is not None:
        raise SettingsError("TASK", "give either TASK or --task-file, not both")
    if task is None and task_file is None:
        raise SettingsError("TASK", 'say what to make, for example: l2mac run --model NAME "a to-do list"')
    if task is not None and task != "-":
        text = task
    else:
        try:
            raw = sys.stdin.buffer.read() if str(task_file or "-") == "-" else Path(str(task_file)).read_bytes()
            text = raw[: _MOST_TASK_BYTES + 1].decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError("--task-file", f"{task_file} cannot be read as UTF-8 text: {error}") from None
    if not text.strip():
        raise SettingsError("TASK", "is empty; say what to make")
    if len(text.encode("utf-8", "replace")) > _MOST_TASK_BYTES:
        raise SettingsError("TASK", f"is longer than {_MOST_TASK_BYTES} bytes")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise SettingsError("TASK", "is not valid UTF-8") from None
    return text.strip()


def _output_folder(output: Path | None, task: str) -> Path:
    """Give the folder for the result, which does not exist yet; refuse before anything is spent."""
    if output is not None:
        check_new_folder(output)
        return output
    folder = Path("workspace") / slug(task)
    number = 1
    while folder.exists() or folder.is_symlink():
        number += 1
        folder = Path("workspace") / f"{slug(task)}-{number}"
    return folder


def _difference(source: Path, repeated: Path) -> str:
    """Say where two records' stores part, by their hashes after each instruction and at the end."""

    def trees(folder: Path) -> list[str]:
        events = [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]
        return [
            event.tree if isinstance(event, InstructionCompleted) else event.key
            for event in events
            if isinstance(event, InstructionCompleted) or (isinstance(event, Checked) and event.final)
        ]

    recorded, now = trees(source), trees(repeated)
    for number, (before, after) in enumerate(zip(recorded, now, strict=False), 1):
        if before != after:
            return f"the files after instruction {number} are not those of the record"
    return "" if len(recorded) == len(now) else f"{len(now)} of {len(recorded)} recorded states were reached"
