"""`l2mac bench` from the command line to the tables, with a real engine and a scripted model."""

import json
import re
import signal
import threading

import pytest
from cli import ROOT, Cli, commands_of
from engine import PATIENCE_S
from scripted_models import bench

from l2mac.testing.faults import Unauthorized
from l2mac.testing.model_server import ScriptedReply, tool_names_of
from sandbox.engine.connection import Engine

SMOKE = ("bench", "--task", "smoke", "--dir", "results")


@pytest.mark.soak
def test_commands_of_the_benchmark_page_work_in_order(cli: Cli, engine: Engine) -> None:
    page = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    commands = commands_of("docs/bench.md")
    assert len(commands) == 7
    for name, content in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL):
        (cli.home / name).write_text(content)
    (cli.home / "ours.jsonl").write_text(bench.problems())
    assert json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0]) == bench.PROBLEMS[0]
    outputs = []
    with cli.serving(bench.answer) as server:
        for command in commands:
            done = cli.shell(command)
            outputs.append((done.stdout, done.stderr, len(server.requests)))
    plan, first, _, third, variants, roman, humaneval = outputs
    assert "2 runs: 1 task, 1 method, 2 seeds" in plan[1]
    assert plan[2] == 0
    assert re.search(
        r"l2mac +2 +2 +66.7±0.0 +33.3±0.0 +100.0±0.0 +0.00±0.00 +13±0 +1.0±0.0 .*50.0±0.0", first[0]
    )
    assert json.loads(third[0])["rows"][0]["estimates"]["coverage_percent"] == {
        "mean": 50,
        "half_width": 0,
        "n": 3,
    }
    assert "3 done" in outputs[3][1] + outputs[2][1] or "2 done" in outputs[2][1]
    assert re.search(r"no-summary +2 +2 ", variants[0])
    assert re.search(r"l2mac +1 +1 +100.0 +100.0 +100.0 ", roman[0])
    assert re.search(r"l2mac +3 +3 +0.667 \[0.208, 0.939\]", humaneval[0])
    assert "| l2mac | 3 | 3 |" in (cli.home / "tables.md").read_text()


def test_interrupted_benchmark_resumes_and_repeats_nothing(cli: Cli, engine: Engine) -> None:
    held, over = threading.Event(), threading.Event()

    def answer(body: dict[str, object], number: int) -> ScriptedReply:
        tools = tool_names_of(body)
        if body.get("seed") == 1 and "complete_instruction" in tools and not over.is_set():
            held.set()
            over.wait(PATIENCE_S)  # the second run is in the middle of its work
        return bench.answer(body, number)

    with cli.serving(answer):
        process = cli.start(*SMOKE, "--seeds", "2")
        assert held.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert "Repeat the same command to resume." in cli.finish(process, 130).stderr
        over.set()
        cells = cli.home / "results" / "smoke" / "l2mac"
        first = {
            path: path.read_bytes() for path in (cells / "seed-0").rglob("*") if path.is_file()
        }
        assert cells / "seed-0" / "measurement.json" in first
        assert not (cells / "seed-1" / "measurement.json").exists()
        (begun,) = (path.name for path in (cells / "seed-1").iterdir() if path.is_dir())
        done = cli.run(*SMOKE, "--seeds", "2", "--json")
    assert "0 new, 1 to be resumed, 0 to be measured, 1 done" in done.stderr
    assert {
        path: path.read_bytes() for path in (cells / "seed-0").rglob("*") if path.is_file()
    } == first
    runs = json.loads(done.stdout)["runs"]
    assert [run["status"] for run in runs] == ["completed", "completed"]
    assert runs[1]["run"] == begun
    labels = {"label": [f"org.l2mac.run={run['run']}" for run in runs]}
    assert engine.api.containers(all=True, filters=labels) == []


def test_unreachable_server_leaves_cells_for_the_next_benchmark(cli: Cli, engine: Engine) -> None:
    with cli.serving(lambda body, number: Unauthorized()):
        done = cli.run(*SMOKE, "--seeds", "4", "--no-features", code=6)
    assert "3 cells in a row could not be finished" in done.stderr
    with cli.serving(bench.answer):
        done = cli.run(*SMOKE, "--seeds", "4", "--no-features", "--jobs", "2")
    assert "1 new, 3 to be resumed" in done.stderr
    assert re.search(r"l2mac +4 +4 ", done.stdout)


@pytest.mark.parametrize(
    "budget", [("--max-tokens", "1500"), ("--max-turns", "1", "--max-replans", "0")]
)
def test_run_without_budget_is_measured_and_listed_in_the_table(
    cli: Cli, engine: Engine, budget: tuple[str]
) -> None:
    with cli.serving(bench.answer):
        done = cli.run(*SMOKE, "--seeds", "1", "--no-features", *budget)
    assert re.search(r"l2mac +1 +0 ", done.stdout)
    assert "l2mac: 1 budget exhausted" in done.stdout
