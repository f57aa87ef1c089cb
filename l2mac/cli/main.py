"""The `l2mac` command: its sub-commands, and one place where every error becomes a sentence and an exit code."""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import click
from loguru import logger

from l2mac.cli import exit_codes
from l2mac.errors import L2macError
from l2mac.safe_text import clean, log_line
from l2mac.version import VERSION
from sandbox import SandboxError

_COMMANDS = {
    "run": "Turn a prompt into a tested codebase.",
    "resume": "Go on with a run that was interrupted or ran out of budget.",
    "replay": "Repeat a run from its recorded replies, without a model.",
    "runs": "List recorded runs.",
    "show": "Show what a run did.",
    "watch": "Follow a run that is at work, from another terminal.",
    "report": "Draw a run as one page, or as series, JUnit XML or Markdown.",
    "track": "Send a run's numbers to Weights & Biases.",
    "export": "Bring a run's files out into a new folder.",
    "diff": "Show how a run's files differ, between steps or from a folder.",
    "rewind": "Take a run back to a step.",
    "fork": "Begin a new run at a step of another.",
    "pin": "Keep a run from being cleaned away.",
    "unpin": "Let a pinned run be cleaned away.",
    "audit": "Check a run's record offline: every line, object, receipt and exported file.",
    "bench": "Run tasks with several methods and seeds, measure them, and give means with intervals.",
    "prompts": "List, show, export and check the prompts of a domain.",
    "models": "List what a server offers, try a model, and print the settings to use.",
    "doctor": "Try what a run needs: engine, image, box, checks, model.",
    "images": "Base images where no registry answers.",
    "clean": "Remove what dead runs left in the engine, unused images, or old runs.",
    "init-config": "Write a settings file with every setting and its default.",
}
_EPILOG = (
    "Exit codes: "
    + "; ".join(f"{code} {meaning}" for code, meaning in exit_codes.MEANINGS.items())
    + "."
)


class _Commands(click.Group):
    """The commands, each loaded when it is called: most need neither the model's client nor the engine's."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return _load(name) if name in _COMMANDS else None

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _load(name: str) -> click.Command:
    # Imports stand here because the model's client alone takes longer to load than `l2mac runs` to run.
    if name in ("run", "resume", "replay"):
        from l2mac.cli.run import replay, resume, run  # noqa: PLC0415

        return {"run": run, "resume": resume, "replay": replay}[name]
    if name in ("runs", "show"):
        from l2mac.cli.records import runs, show  # noqa: PLC0415

        return {"runs": runs, "show": show}[name]
    if name in ("report", "track"):
        from l2mac.cli.insight import report, track  # noqa: PLC0415

        return {"report": report, "track": track}[name]
    if name == "watch":
        from l2mac.cli.watch import watch  # noqa: PLC0415

        return watch
    if name == "export":
        from l2mac.cli.export import export_command  # noqa: PLC0415

        return export_command
    if name in ("diff", "rewind", "fork", "pin", "unpin"):
        from l2mac.cli import history  # noqa: PLC0415

        command: click.Command = getattr(history, name)
        return command
    if name == "audit":
        from l2mac.cli.audit import audit  # noqa: PLC0415

        return audit
    if name == "bench":
        from l2mac.cli.bench import bench  # noqa: PLC0415

        return bench
    if name == "prompts":
        from l2mac.cli.prompts import prompts  # noqa: PLC0415

        return prompts
    if name == "models":
        from l2mac.cli.models import models  # noqa: PLC0415

        return models
    from l2mac.cli.admin import clean_command, doctor, images, init_config  # noqa: PLC0415

    return {"doctor": doctor, "images": images, "clean": clean_command, "init-config": init_config}[
        name
    ]


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
    """Turn one prompt into a tested codebase, written and run wholly inside a hardened container.

    \b
    First steps:
      l2mac doctor                                   what works here and what does not
      l2mac run --model NAME "a URL shortener"       plan it, write it, test it, export it
      l2mac runs                                     what has been run
    """
    # It stands here because the help of all commands needs no settings, which take longer to load than all the rest.
    from l2mac.settings.settings import PROJECT_FILE, configured_log_level, user_file  # noqa: PLC0415

    _log_to_stderr(log_level or configured_log_level(project=Path(PROJECT_FILE), user=user_file()))


def main() -> None:
    """Run the command line and exit; the entry point of the console script."""
    _open_standard_streams()
    _interrupt_twice_to_stop_at_once()
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
        said = (
            interrupt.__cause__ or interrupt
        ).args  # click wraps an interrupt, and what it says of a run with it
        click.echo("\n".join(["l2mac: interrupted", *map(clean, map(str, said))]), err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.OK
    except Exception:  # noqa: BLE001 - the last door: a defect must not look like a failed check
        click.echo(clean(traceback.format_exc()), err=True)
        click.echo("l2mac: this is a defect of l2mac; the traceback above says where", err=True)
        return exit_codes.INTERNAL


def _open_standard_streams() -> None:
    """Open on the null device what the caller closed of descriptors 0 to 2.

    Otherwise the next file that is opened, such as a run's trace, would get that number and be inherited as a
    standard stream by whatever this process starts.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open as long as the process


def _interrupt_twice_to_stop_at_once() -> None:
    """Let the first interrupt end things in order and a second one end them at once; the lease removes the box.

    SIGINT counts even where a script's background job inherited it as ignored: a supervisor that sends it expects a
    run to end in order. The cost is that Ctrl-C at such a script ends the run, too, which `l2mac resume` continues.
    SIGHUP is left as inherited, so that `nohup` works.
    """

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, lambda *_: os._exit(exit_codes.INTERRUPTED))
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _log_to_stderr(level: str) -> None:
    """Send logs to standard error, one clean line per record: text from a model cannot forge or colour lines."""
    logger.remove()

    def write(message: object) -> None:
        record = message.record  # type: ignore[attr-defined]  # loguru's messages are strings with a record
        time = f"{record['time']:HH:mm:ss}"
        click.echo(log_line(time, record["level"].name.lower(), record["message"]), err=True)

    logger.add(write, level=level.upper(), format="{message}", backtrace=False, diagnose=False)
