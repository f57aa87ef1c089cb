"""One turn: each call of a reply gets one answer, under an id that only this call has."""

from pathlib import Path

import pytest
from sandbox_scripts import PASSED
from scripted_sessions import ScriptedSessions, call

from l2mac.control.budget import Limits
from l2mac.processor.messages import Message, Reply, Role, ToolCall

PLAN = call("submit_plan", steps=["Do it."])


def dialogue(sessions: ScriptedSessions) -> tuple[Message, ...]:
    return sessions.processor.requests[-1].messages


@pytest.mark.parametrize("ids", [("", ""), ("x", "x"), ("x", ""), ("call_1", "call_1")])
def test_calls_get_distinct_ids_for_any_ids_of_the_server(
    tmp_path: Path, ids: tuple[str, str]
) -> None:
    sessions = ScriptedSessions(tmp_path)
    looks = [
        Reply(content=str(turn), tool_calls=tuple(ToolCall(one, "list_files", "{}") for one in ids))
        for turn in range(3)
    ]
    sessions.work([PLAN, *looks], [PASSED], limits=Limits(turns=3))
    called = [one.id for message in dialogue(sessions) for one in message.tool_calls]
    answered = [message.tool_call_id for message in dialogue(sessions) if message.role is Role.TOOL]
    assert called == answered == ["call_1", "call_2", "call_3", "call_4"]
