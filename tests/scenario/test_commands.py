"""The commands as their users meet them: messages, exit codes, interruptions, what is left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted_models import forty_files, one_module

from l2mac.testing.faults import ServerError, Unauthorized, UnknownModel
from l2mac.testing.model_server import ModelServer
from sandbox.engine.connection import Engine

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
NOWHERE = "http://127.0.0.1:9/v1"


def l2mac(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "l2mac", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("L2MAC_", "OPENAI_"))
    }
    own = {
        "L2MAC_RUNS_DIR": str(folder / "runs"),
        "L2MAC_IMAGE": IMAGE,
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    return {**kept, **own, **variables}


def with_model(server: ModelServer, **variables: str) -> dict[str, str]:
    return {"L2MAC_BASE_URL": server.base_url, "L2MAC_MODEL": "scripted", **variables}


@pytest.mark.parametrize(
    ("words", "variables", "code", "said"),
    [
        (("run", "x"), {}, 6, "no model is configured"),
        (("run", "--model", "m", "--base-url", NOWHERE), {}, 2, "TASK"),
        (("run", "  "), {}, 2, "TASK: is empty"),
        (("run", "x", "--steps", "0"), {}, 2, "--steps"),
        (("run", "x", "--memory", "lots"), {}, 2, "--memory"),
        (("run", "x", "--memory", "100m"), {}, 2, "raise --memory or lower --disk"),
        (("run", "x", "--domain", "opera"), {}, 2, "--domain"),
        (("run", "x", "--program", "missing.yaml"), {}, 2, "--program missing.yaml"),
        (("run", "x", "--output", "."), {}, 2, "--output"),
        (("run", "x", "--api-key-file", "missing"), {"L2MAC_MODEL": "m"}, 2, "--api-key-file"),
        (("run", "x"), {"L2MAC_STEPS": "many"}, 2, "L2MAC_STEPS"),
        (("run", "x", "--no-such-option"), {}, 2, "--no-such-option"),
        (
            ("run", "x", "--model", "m", "--base-url", NOWHERE),
            {"DOCKER_HOST": "unix:///none.sock"},
            4,
            "l2mac doctor",
        ),
        (
            ("run", "x", "--model", "m", "--base-url", NOWHERE, "--image", "localhost:9/no:1"),
            {},
            4,
            "offline-base",
        ),
        (
            ("run", "x", "--model", "m", "--base-url", NOWHERE, "--runtime", "none"),
            {},
            4,
            "--runtime",
        ),
        (("show", "none"), {}, 7, "l2mac runs"),
        (("resume", "none"), {}, 7, "l2mac runs"),
        (("replay", "none"), {}, 7, "l2mac runs"),
    ],
)
def test_bad_input_is_named_in_a_sentence_and_nothing_is_started(
    tmp_path: Path, words, variables, code, said
):
    done = l2mac(tmp_path, *words, **variables)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_settings_file_with_an_unknown_key_is_named(tmp_path: Path):
    (tmp_path / "l2mac.toml").write_text("stepps = 3\n")
    done = l2mac(tmp_path, "runs")
    assert done.returncode == 2
    assert "l2mac.toml: stepps" in done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Unauthorized(), "key"),
        (UnknownModel(), "scripted"),
        (ServerError(500, retry_after="0"), "l2mac resume"),
    ],
)
def test_a_model_that_refuses_or_fails_is_one_sentence_and_the_run_is_kept(
    tmp_path: Path, fault, said
):
    def answer(body, index):
        return fault if index > 1 else one_module.answer(body, index)

    with ModelServer(answer) as server:
        done = l2mac(tmp_path, "run", "x", **with_model(server))
    assert done.returncode == 6
    assert said in done.stderr
    assert "go on with: l2mac resume" in done.stderr
    with ModelServer(one_module.answer) as server:
        resumed = l2mac(tmp_path, "resume", "--output", "out", **with_model(server))
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out" / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_a_spent_budget_keeps_the_files_and_a_larger_one_finishes_the_run(tmp_path: Path):
    with ModelServer(one_module.answer) as server:
        spent = l2mac(tmp_path, "run", "x", "--max-turns", "1", "--json", **with_model(server))
        resumed = l2mac(tmp_path, "resume", "--json", **with_model(server))
    assert spent.returncode == 3
    assert set(json.loads(spent.stdout)["files"]) == set(one_module.FILES)
    assert (resumed.returncode, json.loads(resumed.stdout)["status"]) == (0, "completed")


def test_one_interrupt_ends_in_order_and_the_run_goes_on_later(tmp_path: Path, engine: Engine):
    with ModelServer(forty_files.answer) as server:
        variables = environment(
            tmp_path, **with_model(server, L2MAC_CONTEXT_TOKENS=str(forty_files.CONTEXT_TOKENS))
        )
        command = [sys.executable, "-m", "l2mac", "run", "x"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
        )
        wait_for_trace(tmp_path / "runs", lines=12)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "l2mac resume" in said
    (run,) = (tmp_path / "runs").iterdir()
    assert '"status":"interrupted"' in (run / "trace.jsonl").read_text().splitlines()[-1]
    assert not engine.api.containers(all=True, filters={"label": f"org.l2mac.run={run.name}"})


def test_a_second_interrupt_ends_at_once_and_leaves_nothing_either(tmp_path: Path, engine: Engine):
    with ModelServer(forty_files.answer) as server:
        variables = environment(
            tmp_path, **with_model(server, L2MAC_CONTEXT_TOKENS=str(forty_files.CONTEXT_TOKENS))
        )
        command = [sys.executable, "-m", "l2mac", "run", "x", "--quiet"]
        process = subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
        wait_for_trace(tmp_path / "runs", lines=8)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    (run,) = (tmp_path / "runs").iterdir()
    labels = {"label": f"org.l2mac.run={run.name}"}
    deadline = time.monotonic() + 15
    while engine.api.containers(all=True, filters=labels) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not engine.api.containers(all=True, filters=labels)


def test_full_disk_stops_the_run_and_keeps_the_written_trace_intact(tmp_path: Path):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with ModelServer(forty_files.answer) as server:
        variables = environment(
            tmp_path, **with_model(server, L2MAC_CONTEXT_TOKENS=str(forty_files.CONTEXT_TOKENS))
        )
        command = [sys.executable, "-m", "l2mac", "run", "x", "--quiet"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=variables,
            preexec_fn=limit,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 7
    assert "cannot be written (File too large); what was written before is intact" in done.stderr
    shown = l2mac(tmp_path, "show", "--json")
    assert json.loads(shown.stdout)["tool_calls"] >= 2


def test_two_processes_cannot_work_on_one_run(tmp_path: Path):
    with ModelServer(forty_files.answer) as server:
        variables = with_model(server, L2MAC_CONTEXT_TOKENS=str(forty_files.CONTEXT_TOKENS))
        command = [sys.executable, "-m", "l2mac", "run", "x", "--quiet"]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path, **variables))
        try:
            wait_for_trace(tmp_path / "runs", lines=5)
            done = l2mac(tmp_path, "resume", **variables)
        finally:
            process.kill()
            process.wait()
    assert done.returncode == 7
    assert "another process works on the run" in done.stderr


def test_a_foreign_record_cannot_send_the_key_to_a_server_of_its_choice(tmp_path: Path):
    with ModelServer(one_module.answer) as foreign:
        made = l2mac(tmp_path, "run", "x", "--max-turns", "1", **with_model(foreign))
        assert made.returncode == 3
        asked = len(foreign.requests)
        (run,) = (tmp_path / "runs").iterdir()
        elsewhere = run.rename(tmp_path / "foreign")
        done = l2mac(tmp_path, "resume", str(elsewhere), OPENAI_API_KEY="secret")
        assert len(foreign.requests) == asked
    assert done.returncode == 6
    assert "no model is configured" in done.stderr


def test_the_key_is_nowhere_in_record_output_logs_or_box(tmp_path: Path):
    canary = "canary-4f1d9b7c2e"
    with ModelServer(one_module.answer, key=canary) as server:
        variables = with_model(server, OPENAI_API_KEY=canary, L2MAC_LOG_LEVEL="debug")
        done = l2mac(tmp_path, "run", "x", **variables)
    assert done.returncode == 0, done.stderr
    assert canary not in done.stdout + done.stderr
    found = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and canary.encode() in path.read_bytes()
    ]
    assert not found
    assert any(request.headers["authorization"].endswith(canary) for request in server.requests)


def wait_for_trace(runs: Path, *, lines: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for trace in runs.glob("*/trace.jsonl"):
            if trace.read_bytes().count(b"\n") >= lines:
                return
        time.sleep(0.05)
    raise AssertionError(f"no trace of {lines} lines appeared in {runs}")
