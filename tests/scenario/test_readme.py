"""Every command of the README is run as it stands there, in its order, by a stranger in an empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from pages import commands_of, environment
from scripted_models import one_module

from l2mac.cli import exit_codes
from l2mac.testing.model_server import ModelServer

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
TESTED_OTHERWISE = ("make test", "pip install .")


COMMANDS = commands_of("README.md")


def test_the_commands_of_the_readme_work_in_their_order(tmp_path: Path):
    ours = [command for command in COMMANDS if command.startswith("l2mac ")]
    assert len(ours) >= 9
    with ModelServer(one_module.answer) as server:
        variables = environment(
            tmp_path, L2MAC_BASE_URL=server.base_url, L2MAC_MODEL="scripted", L2MAC_IMAGE=IMAGE
        )
        for command in ours:
            text = command.replace("python:3.11", IMAGE)
            done = subprocess.run(
                ["bash", "-ec", text],
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    (result,) = (tmp_path / "workspace").glob("a-command-line-to-do")
    assert (result / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_the_commands_of_the_tutorial_work_in_their_order(tmp_path: Path):
    commands = commands_of("docs/tutorial.md")
    assert len(commands) > 12
    with ModelServer(one_module.answer) as server:
        variables = environment(
            tmp_path, L2MAC_BASE_URL=server.base_url, L2MAC_MODEL="scripted", L2MAC_IMAGE=IMAGE
        )
        for command in commands:
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            expected = exit_codes.FAILING if command.startswith("l2mac diff") else exit_codes.OK
            assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "todo" / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_the_commands_of_the_page_about_insight_work_in_their_order(tmp_path: Path):
    commands = commands_of("docs/insight.md")
    assert len(commands) == 5
    shutil.copytree(ROOT / "examples" / "sessions" / "url-shortener", tmp_path / "runs" / "bundled")
    for command in commands:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        expected = (
            exit_codes.FAILING if command.startswith("l2mac watch") else exit_codes.OK
        )  # no session ended it
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    written = {
        path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.is_file()
    }
    assert set(written) == {
        "report.html",
        "events.jsonl",
        "series.json",
        "results.xml",
        "summary.md",
    }
    assert written["report.html"].endswith("</body></html>\n")
    (program,) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "docs" / "insight.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    plotted = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert plotted.stdout == "[(10, 1), (11, 0), (13, 0), (17, 0), (17, 0)]\n"


def test_every_command_of_the_readme_is_covered():
    known = ("l2mac ", "export ", "make run", *TESTED_OTHERWISE)
    assert [command for command in COMMANDS if command and not command.startswith(known)] == []


def test_the_settings_that_the_readme_exports_exist():
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


def test_the_table_of_exit_codes_is_the_one_of_the_program():
    rows = re.findall(
        r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {int(code): meaning for code, meaning in rows} == dict(exit_codes.MEANINGS)


def test_make_run_repeats_the_bundled_session_with_its_tests_passing(tmp_path: Path):
    variables = environment(tmp_path, IMAGE=IMAGE, OUTPUT=str(tmp_path / "out"))
    done = subprocess.run(
        ["make", "run"], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed: " in done.stdout
    assert re.search(r"tests: [1-9]\d* passed", done.stdout)
    assert "the files are those of the record, hash by hash" in done.stdout


def test_an_installed_wheel_in_an_empty_environment_is_enough(tmp_path: Path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True, capture_output=True
    )
    with ModelServer(one_module.answer) as server:
        variables = environment(
            tmp_path, L2MAC_BASE_URL=server.base_url, L2MAC_MODEL="scripted", L2MAC_IMAGE=IMAGE
        )
        words = [str(tmp_path / "venv" / "bin" / "l2mac"), "run", "x", "--quiet"]
        done = subprocess.run(
            words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "resume",
        "replay",
        "runs",
        "show",
        "watch",
        "report",
        "track",
        "export",
        "doctor",
        "clean",
        "images",
        "models",
    ],
)
def test_help_teaches_every_command(command: str):
    done = subprocess.run(
        [sys.executable, "-m", "l2mac", command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout) > 150
