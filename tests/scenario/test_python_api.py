"""Runs from inside a Python program, with a real engine."""

import os
import threading
import time
from pathlib import Path

import pytest
from cli import ROOT, Cli, RunValues
from engine import BASE_IMAGE, PATIENCE_S
from scripted_models import one_module

import l2mac
from l2mac.control.outcome import Status
from l2mac.errors import RunCancelled, RunNotAccepted, SettingsError
from l2mac.runs.audit import audit_run
from l2mac.runs.folders import find_run
from l2mac.testing.model_server import ModelServer
from l2mac.testing.scripted_reply import ScriptedReply, messages_of
from l2mac.trace.chain import read_trace
from l2mac.trace.events import ModelCalled, RunEnded, RunStarted, ToolRan
from sandbox.engine.connection import Engine

EXAMPLE = ROOT / "examples" / "embedded_run.py"
TEXTS = dict(one_module.FILES)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("L2MAC_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def given(server: ModelServer, folder: Path) -> RunValues:
    return {
        "model": "scripted",
        "base_url": server.base_url,
        "image": BASE_IMAGE,
        "runs_dir": folder / "runs",
        "coverage": False,
        "requirements": False,
    }


def left(engine: Engine, run: str) -> int:
    return len(engine.api.containers(all=True, filters={"label": f"org.l2mac.run={run}"}))


def test_embedded_example_runs(cli: Cli) -> None:
    with cli.serving(one_module.answer):
        done = cli.python(str(EXAMPLE), "a list", L2MAC_COVERAGE="off", L2MAC_REQUIREMENTS="off")
    assert "instruction 1 of 1" in done.stdout
    assert "completed: test_todo.py, todo.py" in done.stdout


def test_run_yields_its_events_in_order_and_then_its_files(tmp_path: Path) -> None:
    with (
        ModelServer(one_module.answer) as server,
        l2mac.Run("a list", **given(server, tmp_path)) as run,
    ):
        events = list(run)
        result = run.result
    recorded = [event for event in events if not isinstance(event, l2mac.Said | l2mac.TextArrived)]
    assert recorded == [entry.event for entry in read_trace(result.folder / "trace.jsonl")[0]]
    assert isinstance(recorded[0], RunStarted)
    assert any(isinstance(event, l2mac.TextArrived) for event in events)
    assert (result.status, result.texts) == (Status.COMPLETED, TEXTS)


def test_leaving_a_run_early_removes_its_sandbox_and_keeps_its_trace(
    tmp_path: Path, engine: Engine
) -> None:
    with ModelServer(one_module.answer) as server:
        with l2mac.Run("a list", **given(server, tmp_path)) as run:
            for event in run:
                if isinstance(event, ToolRan):
                    break
        with pytest.raises(RunCancelled, match="l2mac resume"):
            _ = run.result
    folder = find_run(tmp_path / "runs", "last")
    assert left(engine, folder.name) == 0
    last = read_trace(folder / "trace.jsonl")[0][-1].event
    assert isinstance(last, RunEnded)
    assert last.status == Status.INTERRUPTED


@pytest.mark.parametrize("ended_by", ["leaving", "max_time"])
def test_run_ends_at_once_even_if_the_server_is_silent(
    tmp_path: Path, engine: Engine, ended_by: str
) -> None:
    silent, over = threading.Event(), threading.Event()

    def then_silent(body: dict[str, object], number: int) -> ScriptedReply:
        if len(messages_of(body)) > 2 and not over.is_set():
            silent.set()
            over.wait(2 * PATIENCE_S)
        return one_module.answer(body, number)

    start, status = 0.0, Status.INTERRUPTED
    with ModelServer(then_silent) as server:
        for max_time in (8, 16, 32, 64):  # until this machine reaches the silence in time
            options = given(server, tmp_path)
            if ended_by == "max_time":
                options["max_time"] = max_time
            with l2mac.Run("a list", **options) as run:
                if ended_by == "leaving":
                    assert silent.wait(PATIENCE_S)
                start = time.monotonic()
                if ended_by == "max_time":
                    status = run.result.status
            if silent.is_set():
                break
        assert time.monotonic() - start < PATIENCE_S
        over.set()
        folder = find_run(tmp_path / "runs", "last")
        assert left(engine, folder.name) == 0
        last = read_trace(folder / "trace.jsonl")[0][-1].event
        assert isinstance(last, RunEnded)
        expected = Status.BUDGET if ended_by == "max_time" else Status.INTERRUPTED
        assert last.status == status == expected
        assert audit_run(folder).verdict == "intact"
        Cli(tmp_path, server).run("resume", "last")


def test_generate_codebase_returns_texts_and_writes_the_project_folder(tmp_path: Path) -> None:
    with ModelServer(one_module.answer) as server:
        with pytest.warns(UserWarning, match="run_tests=False has no effect"):
            files = l2mac.generate_codebase(
                "a list",
                run_tests=False,
                project_name="todo",
                debugging_level="error",
                **given(server, tmp_path),
            )
    assert files == TEXTS
    assert (tmp_path / "workspace" / "todo" / "todo.py").read_text() == TEXTS["todo.py"]


def test_generate_raises_an_error_with_the_files_when_checks_fail(tmp_path: Path) -> None:
    def never_tested(body: dict[str, object], index: int) -> ScriptedReply:
        reply = one_module.answer(body, index)
        if reply.tool_calls and reply.tool_calls[0][0] == "write_files":
            return ScriptedReply(
                tool_calls=[("write_files", {"files": [{"path": "a.py", "content": "A = 1\n"}]})]
            )
        return reply

    with (
        ModelServer(never_tested) as server,
        pytest.raises(RunNotAccepted, match="--max-turns") as caught,
    ):
        l2mac.generate_codebase(
            "a list", max_turns=3, debugging_level="error", **given(server, tmp_path)
        )
    assert caught.value.files == {"a.py": "A = 1\n"}


def test_roles_use_their_own_models_and_repeated_runs_use_the_cache(tmp_path: Path) -> None:
    with ModelServer(one_module.answer) as server:
        options: RunValues = {
            **given(server, tmp_path),
            "plan_model": "planner",
            "response_cache": tmp_path / "cache",
        }
        results = []
        calls: list[ModelCalled] = []
        for _ in range(2):
            with l2mac.Run("a list", prompt_price=1.0, **options) as run:
                calls = [event for event in run if isinstance(event, ModelCalled)]
                results.append(run.result)
        asked = [(request.body["model"], request.tool_names) for request in server.requests]
    assert [result.texts for result in results] == [TEXTS, TEXTS]
    assert {model for model, tools in asked if tools == {"submit_plan"}} == {"planner"}
    assert {model for model, tools in asked if "write_files" in tools} == {"scripted"}
    assert all(call.cached and call.cost_usd == 0 for call in calls)
    assert results[-1].prompt_tokens == 0


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"init_config": True}, "init_config"),
        ({"debugging_level": "loud"}, "debugging_level"),
        ({"project_name": "../x"}, "project_name"),
        ({"prompt_program": []}, "prompt_program"),
        ({"steps": 0}, "--steps"),
        ({"no_such_setting": 1}, "--no-such-setting"),
        ({"domain": "opera"}, "--domain"),
        ({"domain": "custom"}, "--domain"),
        ({"prompts_file_path": "none.toml"}, "none.toml"),
        ({"tools_enabled": ["no_such_tool"]}, "--tools"),
    ],
)
def test_invalid_parameters_are_refused_by_name_before_a_run_starts(
    parameters: dict[str, object], field: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        base = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "debugging_level": "error"}
        values = {**base, **parameters}
        l2mac.run_l2mac("a list", **values)  # type: ignore[arg-type] # wrong on purpose
    assert caught.value.field == field
