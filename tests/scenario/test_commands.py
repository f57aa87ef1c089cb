"""The commands as their users meet them: messages, exit codes, interruptions and leftovers."""

import resource
import signal
import time

import pytest
from cli import Cli
from engine import wait_until
from scripted_models import forty_files, one_module

from l2mac.testing.faults import Fault, ServerError, Unauthorized, UnknownModel
from sandbox.engine.connection import Engine

NOWHERE = "http://127.0.0.1:9/v1"
WINDOW = {"L2MAC_CONTEXT_TOKENS": str(forty_files.CONTEXT_TOKENS)}


@pytest.mark.parametrize(
    ("words", "variables", "code", "said"),
    [
        (("run", "x"), {}, 6, "No model is configured"),
        (("run", "--model", "m", "--base-url", NOWHERE), {}, 2, "TASK"),
        (("run", "  "), {}, 2, "TASK must not be empty"),
        (("run", "x", "--steps", "0"), {}, 2, "--steps"),
        (("run", "x", "--memory", "lots"), {}, 2, "--memory"),
        (("run", "x", "--memory", "100m"), {}, 2, "Raise --memory or lower --disk"),
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
def test_invalid_input_is_reported_in_a_sentence_and_starts_nothing(
    cli: Cli, words: tuple[str, ...], variables: dict[str, str], code: int, said: str
) -> None:
    done = cli.run(*words, code=code, **variables)
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not cli.runs.exists()


def test_unknown_key_of_a_settings_file_is_named(cli: Cli) -> None:
    (cli.home / "l2mac.toml").write_text("stepps = 3\n")
    assert "l2mac.toml: stepps" in cli.run("runs", code=2).stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Unauthorized(), "key"),
        (UnknownModel(), "scripted"),
        (ServerError(500, retry_after="0"), "l2mac resume"),
    ],
)
def test_failing_model_is_reported_in_a_sentence_and_the_run_is_kept(
    cli: Cli, fault: Fault, said: str
) -> None:
    with cli.serving(lambda body, index: fault if index > 1 else one_module.answer(body, index)):
        done = cli.run("run", "x", code=6)
    assert said in done.stderr
    assert "Continue it with: l2mac resume" in done.stderr
    with cli.serving(one_module.answer):
        cli.run("resume", "--output", "out")
    assert (cli.home / "out" / "todo.py").read_text() == one_module.FILES["todo.py"]


def test_exhausted_budget_keeps_files_and_a_larger_one_completes_the_run(cli: Cli) -> None:
    with cli.serving(one_module.answer):
        spent = cli.result("run", "x", "--max-turns", "1", code=3)
        resumed = cli.result("resume")
    assert set(spent["files"]) == set(one_module.FILES)
    assert resumed["status"] == "completed"


def test_one_interrupt_ends_in_order_and_the_run_can_be_resumed(cli: Cli, engine: Engine) -> None:
    with cli.serving(forty_files.answer):
        process = cli.start("run", "x", **WINDOW)
        assert wait_until(lambda: cli.lines() >= 12)
        process.send_signal(signal.SIGINT)
        said = cli.finish(process, 130).stderr
    assert "l2mac resume" in said
    (run,) = cli.runs.iterdir()
    assert '"status":"interrupted"' in (run / "trace.jsonl").read_text().splitlines()[-1]
    assert not engine.api.containers(all=True, filters={"label": f"org.l2mac.run={run.name}"})


def test_second_interrupt_ends_at_once_and_leaves_nothing(cli: Cli, engine: Engine) -> None:
    with cli.serving(forty_files.answer):
        process = cli.start("run", "x", "--quiet", **WINDOW)
        assert wait_until(lambda: cli.lines() >= 8)
        while process.poll() is None:  # a second signal before the first was handled would be none
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        cli.finish(process, 130)
    (run,) = cli.runs.iterdir()
    labels = {"label": f"org.l2mac.run={run.name}"}
    assert wait_until(lambda: not engine.api.containers(all=True, filters=labels))


def test_full_disk_stops_the_run_and_keeps_the_written_trace_intact(cli: Cli) -> None:
    with cli.serving(forty_files.answer):
        process = cli.start("run", "x", "--quiet", **WINDOW)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        done = cli.finish(process, 7)
    assert "is not writable: File too large. Everything written before is intact" in done.stderr
    calls = cli.json("show")["tool_calls"]
    assert isinstance(calls, int)
    assert calls >= 2


def test_two_processes_cannot_work_on_one_run(cli: Cli) -> None:
    with cli.serving(forty_files.answer):
        process = cli.start("run", "x", "--quiet", **WINDOW)
        try:
            assert wait_until(lambda: cli.lines() >= 5)
            done = cli.run("resume", code=7, **WINDOW)
        finally:
            process.kill()
            process.communicate()
    assert "Another process works on the run" in done.stderr


def test_foreign_trace_cannot_send_the_key_to_its_own_server(cli: Cli) -> None:
    with cli.serving(one_module.answer) as foreign:
        cli.run("run", "x", "--max-turns", "1", code=3)
        asked = len(foreign.requests)
        (run,) = cli.runs.iterdir()
        elsewhere = run.rename(cli.home / "foreign")
        done = Cli(cli.home).run("resume", str(elsewhere), code=6, OPENAI_API_KEY="secret")
        assert len(foreign.requests) == asked
    assert "No model is configured" in done.stderr


def test_key_is_nowhere_in_trace_output_logs_or_sandbox(cli: Cli) -> None:
    canary = "canary-4f1d9b7c2e"
    with cli.serving(one_module.answer, key=canary) as server:
        done = cli.run("run", "x", OPENAI_API_KEY=canary, L2MAC_LOG_LEVEL="debug")
    assert canary not in done.stdout + done.stderr
    found = [
        path
        for path in cli.home.rglob("*")
        if path.is_file() and canary.encode() in path.read_bytes()
    ]
    assert not found
    assert any(request.headers["authorization"].endswith(canary) for request in server.requests)
