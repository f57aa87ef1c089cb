"""`run`, `resume`, `replay`: the commands that execute a prompt program."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from l2mac.cli.exit_codes import BY_STATUS, RECORD
from l2mac.cli.options import (
    SectionedCommand,
    output_folder_option,
    output_options,
    run_argument,
    runs_dir_option,
    runs_folder,
    setting_options,
    settings_from,
)
from l2mac.cli.progress import Progress
from l2mac.cli.report import print_result, result_as_json
from l2mac.control.run_spec import RunSpec
from l2mac.errors import SettingsError, reason_of
from l2mac.runs.execute import SessionResult
from l2mac.runs.folders import slug
from l2mac.runs.program_file import given_program
from l2mac.runs.session import (
    MOST_TASK_BYTES,
    Source,
    find_source,
    prepare_input,
    prepare_plan,
    replay_run,
    resume_run,
    start,
)
from l2mac.settings.settings import Settings
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import check_new_folder, export
from l2mac.workspace.input_folder import check_outside


@click.command(cls=SectionedCommand)
@click.argument("task", required=False)
@click.option(
    "--task-file", type=click.Path(path_type=Path), help="File with the task. -: standard input."
)
@click.option("--program", help="Prompt program: a YAML, JSON or text file, or a JSON list.")
@click.option(
    "--input-dir",
    type=click.Path(path_type=Path),
    help="Folder with existing files to start from (read only).",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Exclude paths matching PATTERN from --input-dir (repeatable).",
)
@output_folder_option
@setting_options("Task", "Model", "Roles and cache", "Planning", "Budget", "Sandbox")
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
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """Generate a tested codebase from a task.

    The model plans TASK as a list of instructions and carries them out one by one. Checks run
    after every write. The result is verified in a fresh sandbox and exported. All files of the
    model are kept, checked and executed in a container without a network.

    TASK is the prompt. - and --task-file read the prompt from elsewhere.

    With --input-dir the run starts from the files of a folder. Checks that failed before the run
    form the baseline and block nothing. `l2mac diff` shows the changes and `l2mac export --into`
    writes them back. Without --output nothing is exported in this case.

    \b
    Examples:
      l2mac run --model gpt-4.1 "a command line to-do list with due dates"
      l2mac run --model gpt-4.1 --input-dir ./todo "add priorities to the list"
      l2mac run --base-url http://127.0.0.1:8000/v1 --model qwen --task-file task.txt
    """
    settings = settings_from(flags)
    text = _read_task(task, task_file)
    if input_dir is not None and output is not None:
        check_outside(input_dir, output, "--output")
    given = prepare_input(settings, input_dir, exclude)
    instructions = () if program is None else given_program(program)
    plan = prepare_plan(settings, text, instructions, given)
    folder = _output_folder(output, plan)
    with Progress(quiet=quiet) as progress:
        result = start(settings, plan, progress, run_input=given)
    return _finish(result, folder, as_json=as_json)


@click.command(cls=SectionedCommand)
@run_argument
@output_folder_option
@setting_options("Model", "Roles and cache", "Budget", "Sandbox")
@runs_dir_option
@output_options
def resume(
    name: str,
    output: Path | None,
    runs_dir: Path | None,
    *,
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """Continue a run that was interrupted or exhausted its budget.

    RUN continues at the instruction where it stopped, with the same files, in a new sandbox. RUN
    is the name of a run, the beginning of a name, a path, or `last` (default). Model and sandbox
    are those of the run unless options override them. Budgets include all earlier sessions.
    """
    source, settings = _recorded(name, runs_dir, flags)
    folder = _output_folder(output, source.plan)
    with Progress(quiet=quiet) as progress:
        result = resume_run(settings, source, progress)
    return _finish(result, folder, as_json=as_json)


@click.command(cls=SectionedCommand)
@run_argument
@output_folder_option
@setting_options("Sandbox")
@runs_dir_option
@output_options
def replay(
    name: str,
    output: Path | None,
    runs_dir: Path | None,
    *,
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """Repeat a run from its recorded replies, without a model.

    All tool calls and checks of RUN are executed again, in a new sandbox. The files after every
    instruction must have the recorded hashes. Otherwise the exit code is 7.
    """
    source, settings = _recorded(name, runs_dir, flags)
    folder = _output_folder(output, source.plan)
    with Progress(quiet=quiet) as progress:
        replayed = replay_run(settings, source, progress)
    return _finish(
        replayed.result,
        folder,
        as_json=as_json,
        replayed=replayed.replies,
        difference=replayed.difference,
    )


def _recorded(
    name: str, runs_dir: Path | None, flags: Mapping[str, object]
) -> tuple[Source, Settings]:
    """Return a recorded run and its settings; flags first, then the trace."""
    source = find_source(runs_folder(runs_dir), name)
    return source, settings_from({**flags, "runs_dir": runs_dir}, source.settings)


def _finish(
    result: SessionResult,
    folder: Path | None,
    *,
    as_json: bool,
    replayed: int | None = None,
    difference: str = "",
) -> int:
    objects = ObjectStore(result.folder / OBJECTS_FILE)
    exported = None
    if result.files and folder is not None:
        exported = export(result.files, objects, folder)
    code = RECORD if difference else BY_STATUS[result.outcome.status]
    if as_json:
        click.echo(result_as_json(result, exported, code, replayed=replayed, difference=difference))
    else:
        print_result(result, exported, replayed=replayed, difference=difference)
    return code


def _read_task(task: str | None, task_file: Path | None) -> str:
    if task is not None and task_file is not None:
        raise SettingsError("TASK", "TASK and --task-file exclude each other. Use one of them.")
    if task is None and task_file is None:
        example = 'l2mac run --model NAME "a to-do list"'
        raise SettingsError("TASK", f"TASK is missing. Describe what to make, as in: {example}.")
    if task is not None and task != "-":
        return task
    try:
        if task_file is None or str(task_file) == "-":
            raw = sys.stdin.buffer.read(MOST_TASK_BYTES + 1)
        else:
            raw = task_file.read_bytes()
        return raw[: MOST_TASK_BYTES + 1].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"--task-file cannot be read as UTF-8 text: {task_file} ({reason_of(error)})."
        raise SettingsError("--task-file", problem) from None


def _output_folder(output: Path | None, plan: RunSpec) -> Path | None:
    """Return the new folder for the result, checked before anything is spent.

    None for a run with an input folder: `l2mac export --into` writes its changes back.
    """
    if output is not None:
        check_new_folder(output, "--output")
        return output
    if plan.input:
        return None
    folder = Path("workspace") / slug(plan.task)
    number = 1
    while folder.exists() or folder.is_symlink():
        number += 1
        folder = Path("workspace") / f"{slug(plan.task)}-{number}"
    return folder
