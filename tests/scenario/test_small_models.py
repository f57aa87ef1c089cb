"""A model without tool calls of its own is led through a run: a real engine, a real box, real HTTP."""

import pytest
from cli import Cli
from scripted_models import guided

from l2mac.runs.audit import audit_run
from l2mac.trace.events import Checked, ModelCalled


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory):
    """Return the command line with one run of a small model that forgets an import, its result and its events."""
    cli = Cli(tmp_path_factory.mktemp("small"))
    with cli.serving(guided.answer):
        result = cli.json("run", "--context-tokens", "8192", "--quiet", "a list of things to do")
    return cli, result, cli.events()


def test_model_without_tool_calls_completes_in_guided_mode(led) -> None:
    _, result, _ = led
    assert result["status"] == "completed"


def test_missing_import_is_found_and_added_by_a_one_line_edit(led) -> None:
    _, _, events = led
    verdicts = [event.verdict for event in events if isinstance(event, Checked)]
    assert verdicts == ["nothing to check", "nothing to check", "failed", "passed", "passed"]
    assert [event.tool for event in events if isinstance(event, ModelCalled)].count(
        "edit_lines"
    ) == 1


def test_guided_run_replays_without_a_model_and_verifies(led) -> None:
    cli, result, _ = led
    assert audit_run(cli.runs / result["run"]).verdict == "intact"
    cli.run("replay", result["run"])
