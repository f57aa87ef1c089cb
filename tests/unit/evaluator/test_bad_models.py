"""Models that behave badly, over real HTTP: each ends in a named budget, soundly counted."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from run_specs import run_spec

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.outcome import Status
from l2mac.processor.openai_processor import ModelSettings, OpenAIProcessor
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.testing.model_server import ModelServer, ScriptedReply
from sandbox.testing import SandboxScript

PLAN = ScriptedReply(tool_calls=[("submit_plan", {"steps": ["Do it."]})])
TURNS = 6
WINDOW = 8192


def work(
    folder: Path, turn: ScriptedReply, *, plan: ScriptedReply = PLAN
) -> tuple[SessionResult, int]:
    """Run a model with the same reply in every turn; return the result and its requests."""

    def answer(body: Mapping[str, object], _: int) -> ScriptedReply:
        tools = body.get("tools", [])
        assert isinstance(tools, list)
        names = {tool["function"]["name"] for tool in tools}
        return plan if names == {"submit_plan"} else turn

    with ModelServer(answer) as server:
        settings = ModelSettings(
            model="bad", base_url=server.base_url, protocol="native", max_retries=0
        )
        with OpenAIProcessor(settings, sleep=lambda _: None) as processor:
            resources = Resources(
                processor=processor,
                open_sandbox=lambda _: SandboxScript().make_sandbox(),
                limits=Limits(turns=TURNS, restarts=2),
                prices=Prices(prompt_usd=1.0, completion_usd=1.0),
                model="bad",
                image="none",
            )
            result = execute(folder, run_spec(context_tokens=WINDOW), resources, "run")
        return result, len(server.requests)


@pytest.mark.parametrize(
    "turn",
    [
        ScriptedReply("我已经完成了所有的工作。すべて完了しました。"),
        ScriptedReply(
            tool_calls=[("write_files", '{"files": [{"path": "a.md", "cont')], truncated=True
        ),
        ScriptedReply(tool_calls=[("write_files", '{"files": [{"path": "a.md", "cont')]),
        ScriptedReply(
            tool_calls=[("write_files", {"files": [{"path": "a.md", "content": "same"}]})]
        ),
        ScriptedReply("again and again " * 3_000),
        ScriptedReply(tool_calls=[("list_files", {})] * 60),
        ScriptedReply(""),
        ScriptedReply("\ud83d \x00 \x1b[2J"),
    ],
    ids=[
        "another language",
        "cut off",
        "stops mid-JSON",
        "repeats",
        "never ends",
        "calls too much",
        "silent",
        "noise",
    ],
)
def test_a_model_that_gets_nowhere_ends_in_a_named_budget(
    tmp_path: Path, turn: ScriptedReply
) -> None:
    result, asked = work(tmp_path, turn)
    assert result.outcome.status is Status.BUDGET
    assert "--max-" in result.outcome.cause
    assert asked <= 1 + (TURNS + 2) * 3


@pytest.mark.parametrize(
    "plan",
    [
        ScriptedReply("Erstens schreibe ich alles, zweitens teste ich es."),
        ScriptedReply(tool_calls=[("submit_plan", '{"steps": ["one", "tw')]),
        ScriptedReply(tool_calls=[("submit_plan", {"steps": ["same", "same"]})]),
        ScriptedReply(tool_calls=[("submit_plan", {"steps": "one"})]),
    ],
    ids=["prose in another language", "mid-JSON", "the same twice", "no list"],
)
def test_a_model_that_cannot_plan_ends_without_a_plan(tmp_path: Path, plan: ScriptedReply) -> None:
    result, asked = work(tmp_path, ScriptedReply("x"), plan=plan)
    assert result.outcome.status is Status.NO_PLAN
    assert asked == 5


@pytest.mark.parametrize("lie", [0, 1, 9_999_999])
def test_a_model_that_lies_about_usage_is_believed_within_a_factor_of_four(
    tmp_path: Path, lie: int
) -> None:
    turn = ScriptedReply("nothing", usage={"prompt_tokens": lie, "completion_tokens": lie})
    (tmp_path / "honest").mkdir()
    (tmp_path / "lying").mkdir()
    honest, _ = work(tmp_path / "honest", ScriptedReply("nothing"))
    lying, asked = work(tmp_path / "lying", turn)
    assert (
        honest.spending.prompt_tokens / 4
        <= lying.spending.prompt_tokens
        <= honest.spending.prompt_tokens * 4
    )
    assert honest.spending.cost_usd / 4 <= lying.spending.cost_usd <= honest.spending.cost_usd * 4
    assert asked == TURNS + 1
