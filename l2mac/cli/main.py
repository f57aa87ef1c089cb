"""The `l2mac` command: subcommands, and exit codes and messages for errors."""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, ModuleType

import click
from loguru import logger

from l2mac.cli import exit_codes
from l2mac.errors import L2macError
from l2mac.safe_text import clean, log_line
from l2mac.version import VERSION
from sandbox import SandboxError

_COMMANDS = {
    "run": ("run", "Generate a tested codebase from a task."),
    "resume": ("run", "Continue a run that was interrupted or exhausted its budget."),
    "replay": ("run", "Repeat a run from its recorded replies, without a model."),
    "runs": ("records", "List recorded runs, or remove old ones."),
    "show": ("records", "Show the plan, state, checks, files and usage of a run."),
    "watch": ("watch", "Follow a running run from another terminal."),
    "report": ("insight", "Write a report as HTML, JSON, JUnit XML or Markdown."),
    "track": ("insight", "Send the numbers of a run to Weights & Biases."),
    "export": ("export", "Write the files of a run to a folder of the host."),
    "diff": ("history", "Show differences between steps, or from a folder of the host."),
    "rewind": ("history", "Return a run to an earlier step."),
    "fork": ("history", "Start a new run at a step of another run."),
    "pin": ("history", "Protect a run from `l2mac runs prune`."),
    "unpin": ("history", "Remove the protection of a pinned run."),
    "audit": ("audit", "Verify the trace of a run offline."),
    "bench": ("bench", "Compare methods on tasks, with several seeds."),
    "prompts": ("prompts", "List, show, export and check the prompts of a domain."),
    "models": ("models", "List the models of a server, and test one of them."),
    "doctor": ("admin", "Test engine, image, sandbox, checks and model."),
    "images": ("admin", "Build a base image where no registry answers."),
    "clean": ("admin", "Remove leftovers of dead runs from the engine."),
    "init-config": ("admin", "Write a settings file with every setting and its default."),
}
"""Command → the module of `l2mac.cli` that has it, and the first line of its help."""
_EPILOG = "\n".join(
    ["\b", "Exit codes:", *(f"{code:5}  {text}" for code, text in exit_codes.MEANINGS.items())]
)


class _Commands(click.Group):
    """The commands, each loaded on its first use.

    Most commands need neither the model's client nor the engine's, which take longer to load than
    `l2mac runs` to run.
    """

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = _load(_COMMANDS[name][0])
        commands = [one for one in vars(module).values() if isinstance(one, click.Command)]
        return next(one for one in commands if one.name == name)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


# ruff: noqa: PLC0415 - `_load` and `l2mac` import at their first call, see `_Commands`
def _load(module: str) -> ModuleType:
    """Return a module with commands that start work, or that need no run."""
    if module == "run":
        from l2mac.cli import run

        return run
    if module == "bench":
        from l2mac.cli import bench

        return bench
    if module == "models":
        from l2mac.cli import models

        return models
    if module == "admin":
        from l2mac.cli import admin

        return admin
    if module == "prompts":
        from l2mac.cli import prompts

        return prompts
    return _load_for_runs(module)


def _load_for_runs(module: str) -> ModuleType:
    """Return a module with commands for recorded runs."""
    if module == "records":
        from l2mac.cli import records

        return records
    if module == "watch":
        from l2mac.cli import watch

        return watch
    if module == "insight":
        from l2mac.cli import insight

        return insight
    if module == "export":
        from l2mac.cli import export

        return export
    if module == "history":
        from l2mac.cli import history

        return history
    from l2mac.cli import audit

    return audit


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="l2mac")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="Lowest level of log messages on standard error. Default: warning.",
)
def l2mac(log_level: str | None) -> None:
    """Generate a tested codebase from one task, inside a hardened container.

    \b
    First steps:
      l2mac doctor                                   test this machine
      l2mac run --model NAME "a URL shortener"       plan, write, check and export
      l2mac runs                                     list recorded runs
    """
    # `l2mac --help` needs no settings, which take longer to load than all the rest.
    from l2mac.settings.settings import PROJECT_FILE, configured_log_level, user_file

    _log_to_stderr(log_level or configured_log_level(project=Path(PROJECT_FILE), user=user_file()))


def main() -> None:
    """Run the command line and exit; the entry point of the console script."""
    _open_standard_streams()
    _exit_at_second_interrupt()
    sys.exit(_run())


def _run() -> int:
    try:
        return int(l2mac.main(standalone_mode=False) or exit_codes.OK)
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        error.show()
        return exit_codes.USAGE
    except (L2macError, SandboxError) as error:
        click.echo(f"l2mac: {clean(str(error))}", err=True)
        return exit_codes.code_for(error)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        cause = interrupt.__cause__ or interrupt  # click wraps an interrupt together with its text
        click.echo("\n".join(["l2mac: Interrupted.", *map(clean, map(str, cause.args))]), err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    except Exception:  # noqa: BLE001 - the last door: a defect must not look like a failed check
        click.echo(clean(traceback.format_exc()), err=True)
        click.echo("l2mac: Internal error. Please report the traceback above.", err=True)
        return exit_codes.INTERNAL


def _open_standard_streams() -> None:
    """Open the null device for standard streams that the caller closed.

    Otherwise the next opened file, such as a trace, would get the number of a standard stream, and
    every child process would inherit it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - open until the exit
            setattr(sys, name, null)


def _exit_at_second_interrupt() -> None:
    """End the command in order at the first interrupt, and at once at the second.

    The lease of a sandbox removes it after an exit at once. SIGINT counts even if a script's
    background job inherited it as ignored, because a supervisor that sends it expects the run to
    end in order. SIGHUP stays as inherited, so that `nohup` works.
    """

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, lambda *_: os._exit(exit_codes.INTERRUPTED))
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _log_to_stderr(level: str) -> None:
    """Send logs to standard error as clean lines, which no text can forge."""
    logger.remove()

    def write(message: object) -> None:
        record = message.record  # type: ignore[attr-defined]  # loguru's messages have a record
        time = f"{record['time']:HH:mm:ss}"
        click.echo(log_line(time, record["level"].name.lower(), record["message"]), err=True)

    logger.add(write, level=level.upper(), format="{message}", backtrace=False, diagnose=False)
