"""The original's Python functions (release 0.0.3), on the runs of this implementation.

Their parameters mean what they meant, with these differences, each of them said when it matters:

- They give path → text instead of path → lines, and only when all checks pass in a fresh box; otherwise they raise
  `RunNotAccepted`, which holds the files. Nothing comes back that looks like a result and is none.
- `run_tests=False` does not switch checks off; it is accepted with a warning. `evaluator=False` leaves out those on the
  way, and the fresh box decides all the same.
- `prompts_file_path` is the file that defines a domain (`l2mac run --domain-file`).
- `init_config` is refused: `l2mac init-config` writes the settings file.
- Nothing is written to the working folder unless `project_name` asks for `./workspace/NAME`.

Any setting can be given by name beside them: `generate_codebase("…", model="gpt-4.1", max_cost=2.0)`.
"""

import warnings
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

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
    """What is made."""

    CODEBASE = "codebase"
    BOOK = "book"
    CUSTOM = "custom"


class DebuggingLevel(StrEnum):
    """How much is shown on standard error: progress with `DEBUG` and `INFO`, nothing but errors with the others."""

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
    **settings: Any,
) -> dict[str, str]:
    """Make what the prompt asks for, and give it as path → text.

    Args:
        prompt_task: The task.
        domain: What is made.
        run_tests: Checks always run; False is accepted with a warning.
        project_name: Export the result to `./workspace/NAME`, which must not exist yet.
        steps: How many instructions the model may plan.
        prompt_program: Instructions in order, such a list as JSON text, or a file that holds them.
        prompts_file_path: The file that defines the domain; makes the domain `custom`.
        tools_enabled: Only these tools of the domain, as a list or with commas between.
        debugging_level: How much is shown on standard error.
        init_config: Refused.
        input_dir: A folder with existing files to begin with; what fits one of the patterns in `exclude` is left out.
        exclude: The patterns.
        settings: Settings by name, such as `model` and `max_cost`; what is not given comes from variables and files.

    Raises:
        RunNotAccepted: The run ended without all checks passing; the error holds what there is.
        SettingsError: Something cannot be; nothing has been started.
        SandboxError, L2macError: The world's fault; the run is kept and can be resumed.
    """
    if init_config:
        raise SettingsError(
            "init_config",
            "is done by the command `l2mac init-config`, which writes a settings file",
        )
    if run_tests is False:
        warnings.warn(
            "run_tests=False changes nothing: checks cannot be switched off like that", stacklevel=2
        )
    given = {**settings, "steps": steps, **_of_the_domain(domain, prompts_file_path, tools_enabled)}
    folder = _workspace(project_name, input_dir)
    loaded = load_settings(given, project=Path(PROJECT_FILE), user=user_file())
    existing = prepare_input(loaded, None if input_dir is None else Path(input_dir), exclude)
    plan = prepare_plan(loaded, prompt_task, _program(prompt_program), existing)
    with Progress(quiet=_is_quiet(debugging_level)) as progress:
        result = start(loaded, plan, progress, given=existing)
    return _accepted(finished_run(result), result, folder)


def generate_codebase(prompt_task: str, **more: Any) -> dict[str, str]:
    """Make a codebase with its tests; `more` as for `run_l2mac`, less `domain`."""
    return run_l2mac(prompt_task, domain=Domain.CODEBASE, **more)


def generate_book(prompt_task: str, **more: Any) -> dict[str, str]:
    """Write a book; `more` as for `run_l2mac`, less `domain`."""
    return run_l2mac(prompt_task, domain=Domain.BOOK, **more)


def generate_custom(prompt_task: str, **more: Any) -> dict[str, str]:
    """Make what the domain in the file `prompts_file_path` makes; `more` as for `run_l2mac`, less `domain`."""
    return run_l2mac(prompt_task, domain=Domain.CUSTOM, **more)


def _is_quiet(level: DebuggingLevel | str) -> bool:
    if level not in list(DebuggingLevel):
        raise SettingsError("debugging_level", f"must be one of {', '.join(DebuggingLevel)}")
    return level in (DebuggingLevel.WARN, DebuggingLevel.ERROR)


def _of_the_domain(
    domain: Domain | str, file: Path | str | None, tools: Sequence[str] | str | None
) -> dict[str, Any]:
    given: dict[str, Any] = {"domain": str(Domain.CUSTOM if file else domain)}
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
    """Give the folder of a project's result, refused before anything is spent when it cannot be."""
    if name is None:
        return None
    if not name or name in (".", "..") or Path(name).name != name or "\0" in name:
        raise SettingsError("project_name", f"{name!r} is no name of a folder")
    folder = Path("workspace") / name
    check_new_folder(folder)
    if input_dir is not None:
        check_outside(Path(input_dir), folder, "project_name")
    return folder


def _accepted(finished: FinishedRun, result: SessionResult, folder: Path | None) -> dict[str, str]:
    if finished.status is not Status.COMPLETED:
        raise RunNotAccepted(finished.name, f"{finished.status}: {finished.cause}", finished.texts)
    if folder is not None:
        export(result.files, ObjectStore(result.folder / OBJECTS_FILE), folder)
    return dict(finished.texts)
