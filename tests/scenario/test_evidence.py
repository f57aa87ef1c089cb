"""One short run with a real sandbox, verified, rewound, forked, compared and replayed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Cli
from engine import wait_until
from json_parts import part, parts
from scripted_models import one_module


class FinishedRun:
    """The command line in a folder with one finished run."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.result = cli.result("run", "a list", "--output", "out")
        self.name = self.result["run"]
        self.folder = Path(self.result["run_folder"])

    def verdict(self, run: str, *words: str, code: int = 0) -> dict[str, object]:
        return self.cli.json("audit", "verify", run, *words, code=code)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    cli = Cli(tmp_path_factory.mktemp("evidence"))
    with cli.serving(one_module.answer):
        yield FinishedRun(cli)


def test_finished_run_verifies_with_its_seal_receipts_and_export(finished: FinishedRun) -> None:
    found = finished.verdict("last", "--seal", finished.result["seal"], "--export", "out")
    assert (found["verdict"], found["findings"], found["receipts"]) == ("intact", [], 2)
    receipt = json.loads((finished.folder / "receipts/001.json").read_text())
    assert {row["verdict"] for row in receipt["rows"]} <= {"match", "not available"}
    assert len(receipt["rows"]) > 50


def test_changed_export_and_changed_trace_are_found(finished: FinishedRun, tmp_path: Path) -> None:
    out = shutil.copytree(finished.cli.home / "out", tmp_path / "out")
    (out / "todo.py").write_text("evil")
    assert finished.verdict("last", "--export", str(out), code=7)["verdict"] == "altered"
    run = shutil.copytree(finished.folder, tmp_path / "run")
    trace = (run / "trace.jsonl").read_bytes()
    (run / "trace.jsonl").write_bytes(trace[: trace.rstrip(b"\n").rfind(b"\n") + 1])
    assert "missing" in finished.cli.run("audit", "verify", str(run), code=7).stdout


def test_killed_run_is_incomplete_and_not_altered(finished: FinishedRun, tmp_path: Path) -> None:
    process = Cli(tmp_path, finished.cli.server).start("run", "a list", "--quiet")
    assert wait_until(lambda: list(tmp_path.glob("runs/*/receipts/001.json")))
    process.kill()
    process.communicate()
    (run,) = (tmp_path / "runs").iterdir()
    found = finished.verdict(str(run), code=1)
    assert (found["verdict"], found["state"]) == ("incomplete", "at work or killed")


def test_rewound_fork_resumes_and_replays_to_the_same_bytes(
    finished: FinishedRun, tmp_path: Path
) -> None:
    before = {
        path.name: path.read_bytes()
        for path in finished.folder.iterdir()
        if path.name != "lock" and path.is_file()
    }
    fork = str(finished.cli.json("fork", finished.name, "--name", "another way")["run"])
    steps = parts(finished.cli.json("show", fork, "--steps"), "steps")
    assert [part(step, "what") for step in steps] == ["start", "write_files", "completed"]
    finished.cli.run("rewind", fork, "--to", "1")
    resumed = finished.cli.result("resume", fork, "--output", str(tmp_path / "resumed"))
    assert resumed["files"] == finished.result["files"]
    assert (
        finished.verdict(fork, "--seal", resumed["seal"], "--export", str(tmp_path / "resumed"))[
            "verdict"
        ]
        == "intact"
    )
    repeated = finished.cli.result("replay", fork, "--output", str(tmp_path / "repeated"))
    assert (repeated["files"], repeated["difference"]) == (finished.result["files"], "")
    assert finished.verdict(str(finished.folder))["verdict"] == "intact"
    assert before == {name: (finished.folder / name).read_bytes() for name in before}


def test_file_accesses_are_shown_as_data_and_as_a_map(finished: FinishedRun) -> None:
    run = finished.name
    accesses = parts(finished.cli.json("show", run, "--files"), "accesses")
    assert {
        tuple(part(one, name) for name in ("path", "how", "instruction")) for one in accesses
    } == {(path, "created", 1) for path in one_module.FILES}
    assert "todo.py" in finished.cli.run("show", run, "--files").stdout


def test_run_is_compared_with_a_folder_and_merged_into_it(
    finished: FinishedRun, tmp_path: Path
) -> None:
    run, project = finished.name, tmp_path / "project"
    project.mkdir()
    (project / "todo.py").write_text("mine\n")
    assert "-mine" in finished.cli.run("diff", run, "--against", str(project), code=1).stdout
    assert finished.cli.run("diff", run, "--steps", "1..2").stdout == ""
    finished.cli.run("export", run, "--into", str(project), "--yes", code=2)
    assert [path.name for path in project.iterdir()] == ["todo.py"]
    finished.cli.run("export", run, "--into", str(project), "--yes", "--overwrite")
    assert {path: (project / path).read_text() for path in one_module.FILES} == one_module.FILES
    assert finished.verdict(run, "--export", str(project))["verdict"] == "intact"


def test_pinned_runs_are_listed_and_not_cleaned(finished: FinishedRun) -> None:
    run = finished.name
    finished.cli.run("pin", run)
    rows = {row["run"]: row for row in finished.cli.rows("runs")}
    assert rows[run]["pinned"]
    size = rows[run]["bytes"]
    assert isinstance(size, int)
    assert size > 1000
    pruned = finished.cli.json("runs", "prune", "--older-than", "0s", "--dry-run")
    kept = {part(row, "run"): part(row, "kept") for row in parts(pruned, "runs")}
    assert kept[run] == "pinned"
    finished.cli.run("unpin", run)
    assert finished.verdict(run)["verdict"] == "intact"
