"""`l2mac bench` from the command line to the tables: real boxes, real HTTP, a scripted model."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_models import bench

from l2mac.testing.model_server import ModelServer, ScriptedReply
from sandbox.engine.connection import Engine

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
PATIENCE_S = 120


def environment(folder: Path, server: ModelServer) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("L2MAC_", "OPENAI_", "PYTEST"))
    }
    model = {"L2MAC_BASE_URL": server.base_url, "L2MAC_MODEL": "scripted", "L2MAC_IMAGE": IMAGE}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return {**kept, **model, "PATH": path, "XDG_CONFIG_HOME": str(folder / "config")}


def bench(folder: Path, server: ModelServer, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "l2mac", "bench", *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(folder, server), **pipes)


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, out + err
    return out, err


def test_the_commands_of_the_page_on_the_benchmark_work_in_their_order(
    tmp_path: Path, engine: Engine
):
    page = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(commands) == 7
    for name, content in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(content)
    (tmp_path / "ours.jsonl").write_text(bench.problems())
    assert json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0]) == bench.PROBLEMS[0]
    outputs = []
    with ModelServer(bench.answer) as server:
        for command in commands:
            variables = environment(tmp_path, server)
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
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
    assert "| l2mac | 3 | 3 |" in (tmp_path / "tables.md").read_text()


def test_an_interrupted_benchmark_goes_on_where_it_was_and_repeats_nothing(
    tmp_path: Path, engine: Engine
):
    held: list[int] = []

    def answer(body: dict[str, Any], number: int) -> ScriptedReply:
        tools = {tool["function"]["name"] for tool in body.get("tools", [])}
        if body.get("seed") == 1 and "complete_instruction" in tools and len(held) < 2:
            held.append(number)
            time.sleep(3)  # the second run is in the middle of its work
        return bench.answer(body, number)

    words = ("--task", "smoke", "--seeds", "2", "--dir", "results")
    with ModelServer(answer) as server:
        process = bench(tmp_path, server, *words)
        deadline = time.monotonic() + PATIENCE_S
        while not held and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = finish(process, 130)
        assert "give the same command again" in err
        cells = tmp_path / "results" / "smoke" / "l2mac"
        first = {
            path: path.read_bytes() for path in (cells / "seed-0").rglob("*") if path.is_file()
        }
        assert cells / "seed-0" / "measurement.json" in first
        assert not (cells / "seed-1" / "measurement.json").exists()
        (begun,) = (path.name for path in (cells / "seed-1").iterdir() if path.is_dir())
        out, err = finish(bench(tmp_path, server, *words, "--json"))
    assert "0 new, 1 to be taken up, 0 to be measured, 1 done" in err
    assert {
        path: path.read_bytes() for path in (cells / "seed-0").rglob("*") if path.is_file()
    } == first
    runs = json.loads(out)["runs"]
    assert [run["status"] for run in runs] == ["completed", "completed"]
    assert runs[1]["run"] == begun
    labels = {"label": [f"org.l2mac.run={run['run']}" for run in runs]}
    assert engine.api.containers(all=True, filters=labels) == []


def test_a_server_that_is_down_leaves_cells_for_the_next_time(tmp_path: Path, engine: Engine):
    from l2mac.testing.model_server import Unauthorized

    with ModelServer(lambda body, number: Unauthorized()) as server:
        _, err = finish(
            bench(tmp_path, server, "--task", "smoke", "--seeds", "4", "--dir", "results"), 6
        )
    assert "3 cells in a row could not be finished" in err
    with ModelServer(bench.answer) as server:
        out, err = finish(
            bench(
                tmp_path,
                server,
                "--task",
                "smoke",
                "--seeds",
                "4",
                "--dir",
                "results",
                "--jobs",
                "2",
            )
        )
    assert "1 new, 3 to be taken up" in err
    assert re.search(r"l2mac +4 +4 ", out)


@pytest.mark.parametrize(
    "budget", [("--max-tokens", "1500"), ("--max-turns", "1", "--max-replans", "0")]
)
def test_a_run_out_of_budget_is_measured_and_stands_in_the_table(
    tmp_path: Path, engine: Engine, budget: tuple[str]
):
    with ModelServer(bench.answer) as server:
        words = ("--task", "smoke", "--seeds", "1", "--dir", "results", "--no-features")
        out, _ = finish(bench(tmp_path, server, *words, *budget))
    assert re.search(r"l2mac +1 +0 ", out)
    assert "l2mac: 1 budget spent" in out
