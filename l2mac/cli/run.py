"""`run`, `resume`, `replay`: the commands that execute a prompt program."""

import sys
from pathlib import Path
from typing import Any

import click

from l2mac.cli.exit_codes import BY_STATUS, RECORD
from l2mac.cli.help_sections import SectionedCommand
from l2mac.cli.options import (
    box_options,
    budget_options,
    model_options,
    output_options,
    role_options,
    runs_dir_option,
    settings_from,
    thinking_options,
)
from l2mac.cli.progress import Progress
from l2mac.cli.report import print_result, result_as_json
from l2mac.control.run_spec import RunSpec
from l2mac.errors import SettingsError
from l2mac.runs.execute import SessionResult
from l2mac.runs.folders import slug
from l2mac.runs.program_file import given_program
from l2mac.runs.session import (
    MOST_TASK_BYTES,
    Source,
    find_source,
    prepare_input,
    prepare_plan,
    repeat,
    start,
    take_up,
)
from l2mac.settings.settings import Settings
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import check_new_folder, export
from l2mac.workspace.input_folder import check_outside


@click.command(cls=SectionedCommand)
@click.argument("task", required=False)
@click.option(
    "--task-file",
    type=click.Path(path_type=Path),
    help="Read the task from a file; - for standard input.",
)
@click.option(
    "--program",
    help="Prompt program: a YAML, JSON or plain text file, or a JSON list such as '[\"...\"]'.",
)
@click.option("--domain", help="What is made: codebase, book, custom. Default: codebase.")
@click.option(
    "--domain-file", type=click.Path(path_type=Path), help="The file that defines a custom domain."
)
@click.option("--tools", help="Only these tools of the domain, with commas between.")
@click.option(
    "--judge/--no-judge", default=None, help="Ask the model for a second opinion on the result."
)
@click.option(
    "--input-dir",
    type=click.Path(path_type=Path),
    help="Begin with the files of this folder; it is only read.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out of it what fits; can be given repeatedly.",
)
@click.option("--steps", type=int, help="How many instructions the model may plan. Default: 10.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for the result. Default: ./workspace/NAME.",
)
@click.option("--seed", type=int, help="For servers that honour it.")
@click.option("--yes", is_flag=True, help="Never ask; for scripts.")
@model_options
@role_options
@box_options
@budget_options
@thinking_options
@runs_dir_option
@output_options
def run(
    task: str | None,
    task_file: Path | None,
    program: str | None,
    output: Path | None,
    input_dir: Path | None,
    exclude: tuple[str, ...],
    *,
    yes: bool,  # noqa: ARG001 - accepted from the start, so that scripts can say it; nothing is asked yet
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Plan TASK, write the code instruction by instruction with checks after every write, and export the result.

    TASK is the prompt; - or --task-file read it from elsewhere. Everything that the model writes is kept, checked
    and executed in a container without a network; the result is verified once more in a fresh one.

    With --input-dir the work begins with the files of a folder: what was wrong with them before is said and left
    alone, and `l2mac diff` and `l2mac export --into` show and bring back what changed. Without --output nothing is
    exported then.

    \b
    Examples:
      l2mac run --model gpt-4.1 "a command line to-do list with due dates"
      l2mac run --model gpt-4.1 --input-dir ./todo "add priorities to the list"
      l2mac run --base-url http://127.0.0.1:8000/v1 --model qwen --context-tokens 16384 --task-file task.txt
    """
    settings = settings_from(flags)
    text = _read_task(task, task_file)
    if input_dir is not None and output is not None:
        check_outside(input_dir, output, "--output")
    given = prepare_input(settings, input_dir, exclude)
    plan = prepare_plan(
        settings, text, given_program(program) if program is not None else (), given
    )
    folder = _output_folder(output, plan)
    with Progress(quiet=quiet) as progress:
        result = start(settings, plan, progress, given=given)
    return _finish(result, folder, as_json=as_json)


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="[RUN]", default="last")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for the result. Default: ./workspace/NAME.",
)
@model_options
@role_options
@box_options
@budget_options
@runs_dir_option
@output_options
def resume(name: str, output: Path | None, *, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Go on with RUN at the instruction where it stopped, with the same files, in a new box.

    RUN is a run's name, the beginning of one, a path, or `last` (the default). Model and box are those of the run
    unless options say otherwise; budgets count what was spent before.
    """
    source, settings = _taken_up(name, flags)
    folder = _output_folder(output, source.plan)
    with Progress(quiet=quiet) as progress:
        result = take_up(settings, source, progress)
    return _finish(result, folder, as_json=as_json)


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="[RUN]", default="last")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="New folder for the result. Default: ./workspace/NAME.",
)
@box_options
@runs_dir_option
@output_options
def replay(name: str, output: Path | None, *, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Repeat RUN from the replies in its record: same tool calls, same checks, in a new box, without a model.

    The files after every instruction must come to the same hashes as recorded; otherwise the exit code is not 0.
    """
    source, settings = _taken_up(name, flags)
    folder = _output_folder(output, source.plan)
    with Progress(quiet=quiet) as progress:
        repetition = repeat(settings, source, progress)
    return _finish(
        repetition.result,
        folder,
        as_json=as_json,
        replayed=repetition.replies,
        difference=repetition.difference,
    )


def _taken_up(name: str, flags: dict[str, Any]) -> tuple[Source, Settings]:
    """Give a recorded run and the settings to go on with: flags, then the record's, then the files'."""
    source = find_source(settings_from({"runs_dir": flags["runs_dir"]}).runs_dir.expanduser(), name)
    return source, settings_from(flags, source.settings)


def _finish(
    result: SessionResult,
    folder: Path | None,
    *,
    as_json: bool,
    replayed: int | None = None,
    difference: str = "",
) -> int:
    objects = ObjectStore(result.folder / OBJECTS_FILE)
    exported = (
        export(result.files, objects, folder) if result.files and folder is not None else None
    )
    code = RECORD if difference else BY_STATUS[result.outcome.status]
    if as_json:
        click.echo(result_as_json(result, exported, code, replayed=replayed, difference=difference))
    else:
        print_result(result, exported, replayed=replayed, difference=difference)
    return code


def _read_task(task: str | None, task_file: Path | None) -> str:
    if task is not None and task_file is not None:
        raise SettingsError("TASK", "give either TASK or --task-file, not both")
    if task is None and task_file is None:
        raise SettingsError(
            "TASK", 'say what to make, for example: l2mac run --model NAME "a to-do list"'
        )
    if task is not None and task != "-":
        text = task
    else:
        try:
            raw = (
                sys.stdin.buffer.read()
                if str(task_file or "-") == "-"
                else Path(str(task_file)).read_bytes()
            )
            text = raw[: MOST_TASK_BYTES + 1].decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "--task-file", f"{task_file} cannot be read as UTF-8 text: {error}"
            ) from None
    return text


def _output_folder(output: Path | None, plan: RunSpec) -> Path | None:
    """Give the folder for the result, which does not exist yet; refuse before anything is spent.

    None where the result is somebody's files with changes: they are brought back with `l2mac export --into`.
    """
    if output is not None:
        check_new_folder(output)
        return output
    if plan.input:
        return None
    folder = Path("workspace") / slug(plan.task)
    number = 1
    while folder.exists() or folder.is_symlink():
        number += 1
        folder = Path("workspace") / f"{slug(plan.task)}-{number}"
    return folder
