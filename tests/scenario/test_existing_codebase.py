"""A run on an existing package in a real sandbox: result, trace and export into the folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Cli, ResultJson, RunValues, commands_of
from engine import BASE_IMAGE, wait_until
from scripted_models import existing_project

import l2mac
from l2mac.cli import exit_codes
from l2mac.testing.model_server import ModelServer
from l2mac.trace.events import Checked, ToolRan

TASK = "let a cart count its items"


class Project(Cli):
    """The command line beside an existing package."""

    def __init__(self, home: Path, server: ModelServer) -> None:
        super().__init__(home, server, L2MAC_CONTEXT_TOKENS="16384")
        self.requests = server.requests
        self.package = existing_project.write(home / "shop")


Finished = tuple[Project, ResultJson, str]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with ModelServer(existing_project.answer) as server:
        yield Project(tmp_path, server)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Finished]:
    with ModelServer(existing_project.answer) as server:
        project = Project(tmp_path_factory.mktemp("existing"), server)
        before = contents(project.package)
        done = project.run("run", "--input-dir", "shop", "--json", TASK)
        assert contents(project.package) == before, "the folder was written to"
        yield project, json.loads(done.stdout), done.stderr


def test_feature_is_added_despite_reported_failures_of_the_baseline(
    finished: Finished,
) -> None:
    _, result, progress = finished
    assert result["status"] == "completed"
    assert "lint: 1 error (as before the run)" in result["cause"]
    assert "2 passed, 1 failed (1 test fails as it did before)" in result["cause"]
    assert result["changes"] == {
        "added": [],
        "changed": ["src/shop/cart.py", "tests/test_cart.py"],
        "deleted": [],
    }
    assert result["output"] is None
    assert "baseline: failed (syntax: clean; lint: 1 error; tests: 1 passed, 1 failed)" in progress


def test_excluded_input_files_are_named_and_never_sent_to_the_model(
    finished: Finished,
) -> None:
    project, _, progress = finished
    assert "version control (.git/)" in progress
    assert "names that usually hold secrets (.env)" in progress
    said = json.dumps([request.body for request in project.requests])
    assert "secret-of-the-shop" not in said
    assert "class Cart: add, total" in said


def test_new_failing_and_deleted_old_tests_both_block_completion(
    finished: Finished,
) -> None:
    project, _, _ = finished
    verdicts: list[tuple[str, str]] = [("the input", "")]
    for event in project.events():
        if isinstance(event, ToolRan) and event.changes:
            verdicts.append((event.name, ""))
        elif isinstance(event, Checked) and not (event.baseline or event.final):
            verdicts[-1] = (verdicts[-1][0], event.verdict)
    assert [one for one in verdicts if one[1]] == [
        ("the input", "passed"),
        ("edit_file", "failed"),
        ("edit_file", "passed"),
        ("delete_files", "failed"),
        ("write_files", "passed"),
    ]
    messages = [message for request in project.requests for message in request.messages]
    told = [message.content for message in messages if message.role == "tool"]
    assert any("not accepted" in text for text in told)
    assert any("tests/test_cart.py::test_total" in message.content for message in messages)


def test_diff_and_audit_account_for_every_changed_byte(
    finished: Finished,
) -> None:
    project, _, _ = finished
    diff = project.run("diff", "last", code=exit_codes.FAILING)
    assert [line for line in diff.stdout.splitlines() if line.startswith("+++ ")] == [
        "+++ b/src/shop/cart.py",
        "+++ b/tests/test_cart.py",
    ]
    assert project.run("diff", "last", "--steps", "0..0").stdout == ""
    assert "input    6 files, 2 excluded" in project.run("show", "last").stdout
    project.run("audit", "verify", "last")


def test_replay_needs_no_input_folder_and_writes_the_same_files(
    finished: Finished, cli: Cli
) -> None:
    project, result, _ = finished
    done = cli.run("replay", str(project.runs / result["run"]), "--output", "out")
    assert "all files have the recorded hashes" in done.stdout
    assert (cli.home / "out/docs/notes.txt").read_text() == existing_project.FILES["docs/notes.txt"]


def test_export_merges_only_changes_and_keeps_later_edits(
    finished: Finished, tmp_path: Path
) -> None:
    project, _, _ = finished
    mine = tmp_path / "mine"
    shutil.copytree(project.package, mine)
    (mine / "README.md").write_text("mine")
    (mine / "prices.csv").unlink()
    before = contents(mine)
    project.run("export", "last", "--into", str(mine), "--yes")
    after = contents(mine)
    assert {path for path in after if before.get(path) != after[path]} == {
        "src/shop/cart.py", "tests/test_cart.py", ".l2mac-manifest.json",
    }  # fmt: skip
    assert "prices.csv" not in after
    (mine / "src/shop/cart.py").write_text("mine")
    refused = project.run("export", "last", "--into", str(mine), "--yes", code=exit_codes.USAGE)
    assert "'src/shop/cart.py' changed on the host" in refused.stderr
    assert (mine / "src/shop/cart.py").read_text() == "mine"


def test_killed_run_resumes_without_the_input_folder(project: Project) -> None:
    process = project.start("run", "--input-dir", "shop", "--quiet", TASK)
    assert wait_until(
        lambda: project.lines() and any(isinstance(event, ToolRan) for event in project.events())
    )
    process.kill()
    process.communicate()
    shutil.rmtree(project.package)
    result = project.result("resume", "last", "--quiet")
    assert result["changes"] is not None
    assert result["changes"]["changed"] == ["src/shop/cart.py", "tests/test_cart.py"]
    assert "1 test fails as it did before" in result["cause"]


def test_input_folder_accepts_neither_exports_nor_traces(project: Project) -> None:
    for words in (["--output", "shop/out"], ["--runs-dir", "shop/runs"]):
        done = project.run("run", "--input-dir", "shop", *words, TASK, code=exit_codes.USAGE)
        assert words[0] in done.stderr
    assert project.requests == []


def test_input_with_hanging_tests_is_refused_with_advice(project: Project) -> None:
    (project.package / "tests/test_hangs.py").write_text(
        "import time\n\n\ndef test_hang():\n    time.sleep(600)\n"
    )
    done = project.run("run", "--input-dir", "shop", "--timeout", "6", TASK, code=exit_codes.USAGE)
    assert "Raise --timeout or --memory, or exclude files with --exclude" in done.stderr
    project.run("run", "--input-dir", "shop", "--exclude", "test_hangs.py", TASK)


def test_python_api_accepts_an_input_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.home)
    assert project.server is not None
    values: RunValues = {
        "base_url": project.server.base_url,
        "model": "scripted",
        "image": BASE_IMAGE,
        "context_tokens": 16384,
        "runs_dir": project.runs,
        "debugging_level": "error",
    }
    files = l2mac.generate_codebase(TASK, input_dir="shop", exclude=["docs"], **values)
    assert set(files) == set(existing_project.FILES) - {"docs/notes.txt"}
    assert "def count" in files["src/shop/cart.py"]


def test_commands_of_the_page_work_in_order(project: Project) -> None:
    commands = commands_of("docs/existing-codebase.md")
    assert len(commands) >= 8
    for command in commands:
        project.shell(
            command, code=exit_codes.FAILING if command.startswith("l2mac diff") else exit_codes.OK
        )
    assert "def count" in (project.package / "src/shop/cart.py").read_text()
    assert (project.home / "whole/README.md").read_text() == existing_project.FILES["README.md"]
