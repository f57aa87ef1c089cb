"""Every method from the command line to the export, with a real engine and a scripted model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Cli, ResultJson, RunValues, events_of
from engine import BASE_IMAGE, wait_until
from scripted_models import baselines

import l2mac
from l2mac.control.outcome import Status
from l2mac.trace.events import CandidateChosen, Event, PartStarted, SandboxOpened

SANDBOXES = {"one-shot": 2, "codet": 8, "self-refine": 2, "reflexion": 2}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    cli = Cli(tmp_path_factory.mktemp("baselines"))
    with cli.serving(baselines.answer):
        yield cli


def run(cli: Cli, output: str, *words: str, code: int = 0) -> ResultJson:
    return cli.result("run", "a list", "--quiet", "--output", output, *words, code=code)


@pytest.fixture(scope="module")
def finished(cli: Cli) -> dict[str, ResultJson]:
    """Return one run by each method; one shot fails, because no check reports its mistake."""
    codes = {"one-shot": 1, "codet": 0, "self-refine": 0, "reflexion": 0}
    return {
        method: run(cli, method, "--method", method, code=code) for method, code in codes.items()
    }


def events(result: ResultJson) -> list[Event]:
    return events_of(Path(result["run_folder"]))


@pytest.mark.parametrize("method", ["codet", "self-refine", "reflexion"])
def test_initially_wrong_file_is_correct_at_the_end(
    finished: dict[str, ResultJson], cli: Cli, method: str
) -> None:
    assert (cli.home / method / "todo.py").read_text() == baselines.FILES["todo.py"]
    assert set(finished[method]["files"]) == set(baselines.FILES)
    assert (finished[method]["status"], finished[method]["method"]) == ("completed", method)
    assert finished[method]["tests"]["passed"] == 1


def test_one_shot_returns_its_files_with_the_failing_test(
    finished: dict[str, ResultJson], cli: Cli
) -> None:
    assert (cli.home / "one-shot" / "todo.py").read_text() == baselines.WRONG["todo.py"]
    assert finished["one-shot"]["tests"]["failed"] == 1
    assert "in a fresh sandbox" in finished["one-shot"]["cause"]
    assert finished["one-shot"]["evaluator"] is False


def test_codet_runs_each_candidate_and_keeps_the_first_that_agrees(
    finished: dict[str, ResultJson], cli: Cli
) -> None:
    (chosen,) = [event for event in events(finished["codet"]) if isinstance(event, CandidateChosen)]
    assert chosen == CandidateChosen(passed=(0, 1, 1), tests=1, chosen=2, agreeing=2)


@pytest.mark.parametrize("method", SANDBOXES)
def test_traces_of_all_methods_have_a_receipt_for_every_sandbox(
    finished: dict[str, ResultJson], cli: Cli, method: str
) -> None:
    opened = [
        event.purpose for event in events(finished[method]) if isinstance(event, SandboxOpened)
    ]
    assert (len(opened), opened[-1]) == (SANDBOXES[method], "verify")
    verdict = cli.json("audit", "verify", finished[method]["run"])
    assert (verdict["verdict"], verdict["receipts"]) == ("intact", SANDBOXES[method])


def test_method_can_be_replayed_in_new_sandboxes(finished: dict[str, ResultJson], cli: Cli) -> None:
    again = cli.result("replay", finished["codet"]["run"], "--quiet", "--output", "again")
    assert (again["difference"], again["files"]) == ("", finished["codet"]["files"])


def test_killed_method_is_resumed_to_the_same_files(
    finished: dict[str, ResultJson], cli: Cli
) -> None:
    before = set(cli.runs.iterdir())
    process = cli.start("run", "a list", "--quiet", "--method", "codet", "--output", "none")
    assert wait_until(
        lambda: any(has_begun(run, "candidate 3 of 3") for run in set(cli.runs.iterdir()) - before)
    )
    process.kill()
    process.communicate()
    (killed,) = set(cli.runs.iterdir()) - before
    resumed = cli.result("resume", killed.name, "--quiet", "--output", "resumed")
    assert resumed["files"] == finished["codet"]["files"]
    assert resumed["cause"] == finished["codet"]["cause"]


def has_begun(folder: Path, part: str) -> bool:
    if not (folder / "trace.jsonl").exists():
        return False
    return any(isinstance(event, PartStarted) and event.name == part for event in events_of(folder))


def test_run_without_evaluator_returns_failing_files_and_states_the_cause(cli: Cli) -> None:
    program = '["Write todo.py and its test."]'
    words = ("--no-evaluator", "--program", program, "--no-requirements")
    unchecked = run(cli, "unchecked", *words, code=1)
    assert (unchecked["tests"]["failed"], unchecked["evaluator"]) == (1, False)
    assert "the work was done without checks (--no-evaluator)" in unchecked["cause"]
    checked = run(cli, "checked", *words[1:], "--no-task-in-context")
    assert (checked["status"], checked["tests"]["passed"]) == ("completed", 1)


def test_method_is_a_setting_of_the_python_interface(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cli.home)
    assert cli.server is not None
    settings: RunValues = {
        "base_url": cli.server.base_url,
        "model": "scripted",
        "image": BASE_IMAGE,
        "runs_dir": cli.runs,
    }
    with l2mac.Run("a list", method="reflexion", **settings) as run:
        names = [event.name for event in run if isinstance(event, PartStarted)]
    assert names == ["the draft", "further trial 1 of 3"]
    assert (run.result.status, run.result.method) == (Status.COMPLETED, "reflexion")
