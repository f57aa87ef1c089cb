"""A model without tool calls works in guided mode, with a real engine."""

import pytest
from cli import Cli, ResultJson
from scripted_models import guided

from l2mac.runs.audit import audit_run
from l2mac.trace.events import Checked, Event, ModelCalled

GuidedRun = tuple[Cli, ResultJson, list[Event]]


@pytest.fixture(scope="module")
def guided_run(tmp_path_factory: pytest.TempPathFactory) -> GuidedRun:
    """Return one run of a small model that forgets an import."""
    cli = Cli(tmp_path_factory.mktemp("small"))
    with cli.serving(guided.answer):
        result = cli.result("run", "--context-tokens", "8192", "--quiet", "a list of things to do")
    return cli, result, cli.events()


def test_model_without_tool_calls_completes_in_guided_mode(guided_run: GuidedRun) -> None:
    _, result, _ = guided_run
    assert result["status"] == "completed"


def test_missing_import_is_found_and_added_by_a_one_line_edit(guided_run: GuidedRun) -> None:
    _, _, events = guided_run
    verdicts = [event.verdict for event in events if isinstance(event, Checked)]
    assert verdicts == ["nothing to check", "nothing to check", "failed", "passed", "passed"]
    assert [event.tool for event in events if isinstance(event, ModelCalled)].count(
        "edit_lines"
    ) == 1


def test_guided_run_replays_without_a_model_and_verifies(guided_run: GuidedRun) -> None:
    cli, result, _ = guided_run
    assert audit_run(cli.runs / result["run"]).verdict == "intact"
    cli.run("replay", result["run"])
