"""Run every command of the README and of the page on usage, in order, in an empty folder."""

import re
import shlex
import shutil
import subprocess
import venv

import pytest
from cli import ROOT, Cli, commands_of
from click.testing import CliRunner
from engine import BASE_IMAGE
from scripted_models import one_module

from l2mac.cli import exit_codes
from l2mac.cli.main import l2mac

TESTED_OTHERWISE = ("make test", "pip install .")


COMMANDS = [*commands_of("README.md"), *commands_of("docs/using.md")]


def test_commands_of_the_readme_work_in_order(cli: Cli) -> None:
    ours = [command for command in COMMANDS if command.startswith("l2mac ")]
    assert len(ours) >= 9
    with cli.serving(one_module.answer):
        for command in ours:
            cli.shell(command.replace("python:3.11", BASE_IMAGE))
    (result,) = (cli.home / "workspace").glob("a-command-line-to-do")
    assert (result / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_commands_of_the_tutorial_work_in_order(cli: Cli) -> None:
    commands = commands_of("docs/tutorial.md")
    assert len(commands) > 12
    with cli.serving(one_module.answer):
        for command in commands:
            cli.shell(
                command,
                code=exit_codes.FAILING if command.startswith("l2mac diff") else exit_codes.OK,
            )
    assert (cli.home / "todo" / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_commands_of_the_reports_page_work_in_order(cli: Cli) -> None:
    commands = commands_of("docs/insight.md")
    assert len(commands) == 5
    shutil.copytree(ROOT / "examples" / "sessions" / "url-shortener", cli.runs / "bundled")
    for command in commands:
        # No session ended the bundled run.
        cli.shell(
            command, code=exit_codes.FAILING if command.startswith("l2mac watch") else exit_codes.OK
        )
    written = {
        path.name: path.read_text(encoding="utf-8") for path in cli.home.iterdir() if path.is_file()
    }
    assert set(written) == {
        "report.html",
        "events.jsonl",
        "series.json",
        "results.xml",
        "summary.md",
    }
    assert written["report.html"].endswith("</body></html>\n")
    page = (ROOT / "docs" / "insight.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert cli.python("-c", program).stdout == "[(10, 1), (11, 0), (13, 0), (17, 0), (17, 0)]\n"


def test_every_command_of_the_readme_is_covered() -> None:
    known = ("l2mac ", "export ", "make run", *TESTED_OTHERWISE)
    assert [command for command in COMMANDS if command and not command.startswith(known)] == []


def test_settings_in_the_readme_exist() -> None:
    from l2mac.settings.settings import Settings

    words = [
        word
        for command in COMMANDS
        if command.startswith("export ")
        for word in shlex.split(command)[1:]
    ]
    names = {word.partition("=")[0] for word in words} - {"OPENAI_API_KEY"}
    assert names
    assert {name.removeprefix("L2MAC_").lower() for name in names} <= set(Settings.model_fields)


def test_exit_code_table_matches_the_program() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {int(code): meaning for code, meaning in rows} == dict(exit_codes.MEANINGS)


def test_make_run_replays_the_bundled_session_with_passing_tests(cli: Cli) -> None:
    command = f"make --directory {shlex.quote(str(ROOT))} run"
    done = cli.shell(command, IMAGE=BASE_IMAGE, OUTPUT=str(cli.home / "out"))
    assert "completed: " in done.stdout
    assert re.search(r"tests: [1-9]\d* passed", done.stdout)
    assert "all files have the recorded hashes" in done.stdout


@pytest.mark.soak
def test_wheel_works_in_an_empty_environment(cli: Cli) -> None:
    venv.create(cli.home / "venv", with_pip=True)
    python = str(cli.home / "venv" / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True, capture_output=True
    )
    with cli.serving(one_module.answer):
        cli.shell("venv/bin/l2mac run x --quiet --output out")
    assert (cli.home / "out" / "todo.py").read_text() == one_module.FILES["todo.py"]


COMMANDS_WITH_HELP = (
    "run resume replay runs show watch report track export doctor clean images models".split()
)


@pytest.mark.parametrize("command", COMMANDS_WITH_HELP)
def test_help_teaches_every_command(command: str) -> None:
    done = CliRunner().invoke(l2mac, [command, "--help"])
    assert (done.exit_code, len(done.output) > 150) == (0, True)
