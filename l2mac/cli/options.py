"""Options that several commands share, and how they become settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from l2mac.control.run_spec import METHODS
from l2mac.settings.settings import PROJECT_FILE, Settings, load_settings, user_file

F = TypeVar("F", bound=Callable[..., Any])

_MODEL = (
    click.option(
        "--preset", help="A known server, such as ollama: `l2mac models --presets` lists them."
    ),
    click.option("--model", help="The model's name at its server."),
    click.option(
        "--base-url",
        help="The model's server, OpenAI-compatible. Default: OPENAI_BASE_URL or OpenAI.",
    ),
    click.option(
        "--api-key-file",
        type=click.Path(path_type=Path),
        help="File with the key. Default: OPENAI_API_KEY.",
    ),
    click.option("--context-tokens", type=int, help="The model's context window. Default: 8192."),
    click.option(
        "--tool-protocol",
        type=click.Choice(["auto", "native", "json"]),
        help="How the model calls tools.",
    ),
)
_ROLES = (
    click.option(
        "--plan-model",
        help="Another model for planning, at the same server unless [roles.plan] says more.",
    ),
    click.option("--judge-model", help="Another model for judging, likewise with [roles.judge]."),
    click.option(
        "--cache",
        "response_cache",
        type=click.Path(path_type=Path),
        help="Folder of replies; a request equal to an earlier one is answered from it. Default: none.",
    ),
)
_BOX = (
    click.option(
        "--image", help="Base image of the box; any local or pullable one. Default: python:3.11."
    ),
    click.option(
        "--runtime",
        help="The engine's runtime for the box, such as runsc; auto for the strongest that works.",
    ),
    click.option("--memory", help="Memory of the box, such as 1g."),
    click.option("--cpus", type=float, help="Processors of the box."),
    click.option("--pids", type=int, help="Processes and threads of the box."),
    click.option("--disk", help="Size of the file store, such as 256m."),
    click.option(
        "--deps",
        type=click.Choice(["off", "locked", "resolve"]),
        help="Packages that the code may name in requirements.txt: none (default), pinned with hashes, or any wheels.",
    ),
    click.option("--timeout", type=float, help="Seconds that one check or command may take."),
)
_BUDGET = (
    click.option("--max-turns", type=int, help="Replies per instruction. Default: 40."),
    click.option("--max-restarts", type=int, help="Context restarts per instruction. Default: 30."),
    click.option("--max-tokens", type=int, help="Tokens of the whole run."),
    click.option(
        "--max-cost", type=float, help="USD of the whole run, by the prices in the settings."
    ),
    click.option("--max-time", type=float, help="Seconds of work on the whole run."),
)
_THINKING = (
    click.option(
        "--method",
        type=click.Choice(METHODS),
        help="How the task is carried out: by l2mac (default), or by a method that its paper compares it with.",
    ),
    click.option(
        "--guidance",
        type=click.Choice(["auto", "close", "free"]),
        help="Lead the model one question at a time, as small ones need, or let it choose among tools. Default: auto.",
    ),
    click.option(
        "--reflections",
        type=int,
        help="How often the model is asked for a better plan. Default: 0.",
    ),
    click.option(
        "--coverage/--no-coverage",
        default=None,
        help="Compare the plan with the task's requirements.",
    ),
    click.option(
        "--max-replans",
        type=int,
        help="Instructions that may be split when over budget. Default: 3.",
    ),
    click.option(
        "--requirements/--no-requirements",
        default=None,
        help="Compare the result with the task's requirements.",
    ),
    click.option(
        "--requirement-rounds",
        type=int,
        help="How often what is not shown is carried out. Default: 1.",
    ),
    click.option(
        "--summary/--no-summary",
        default=None,
        help="Hand a summary from instruction to instruction.",
    ),
    click.option(
        "--evaluator/--no-evaluator",
        default=None,
        help="Run checks after every write and before an instruction is done. At the end they run in any case.",
    ),
    click.option(
        "--task-in-context/--no-task-in-context",
        default=None,
        help="Show each instruction with the whole task.",
    ),
)
_RUNS_DIR = click.option(
    "--runs-dir", type=click.Path(path_type=Path), help="Where runs are recorded."
)
_QUIET = click.option(
    "--quiet", "-q", is_flag=True, help="No progress; only the result and errors."
)
_JSON = click.option(
    "--json", "as_json", is_flag=True, help="The result as one JSON object on standard output."
)


def _names(*options: Callable[[Any], Any]) -> tuple[str, ...]:
    """Give the names of the parameters that options become."""
    command: Any = lambda: None  # noqa: E731 - something for the options to be added to
    for option in options:
        command = option(command)
    return tuple(parameter.name for parameter in command.__click_params__)


SHARED = {
    "Model": _names(*_MODEL, *_ROLES),
    "Thinking": _names(*_THINKING),
    "Budget": _names(*_BUDGET),
    "Box": _names(*_BOX),
}
"""Section of the help → the parameters in it."""


def model_options(command: F) -> F:
    """Add the options about the language model."""
    return _add(_MODEL, command)


def role_options(command: F) -> F:
    """Add the options about further models and the cache of replies."""
    return _add(_ROLES, command)


def box_options(command: F) -> F:
    """Add the options about the box."""
    return _add(_BOX, command)


def budget_options(command: F) -> F:
    """Add the options about what may be spent."""
    return _add(_BUDGET, command)


def thinking_options(command: F) -> F:
    """Add the options about how much thought goes into the program."""
    return _add(_THINKING, command)


def output_options(command: F) -> F:
    """Add --quiet and --json."""
    return _add((_QUIET, _JSON), command)


def runs_dir_option(command: F) -> F:
    """Add --runs-dir."""
    return _add((_RUNS_DIR,), command)


def json_option(command: F) -> F:
    """Add --json."""
    return _add((_JSON,), command)


def settings_from(flags: Mapping[str, Any], recorded: Mapping[str, Any] | None = None) -> Settings:
    """Give the settings of a command: its flags over everything else, a recorded run's over the files'.

    Raises:
        SettingsError: A source says something that cannot be.
    """
    return load_settings(flags, project=Path(PROJECT_FILE), user=user_file(), recorded=recorded)


def _add(options: tuple[Callable[[F], F], ...], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command
