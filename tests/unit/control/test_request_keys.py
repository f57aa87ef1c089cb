import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.control.request_keys import RequestKeys, canonical, hash_of
from l2mac.processor.messages import Message, Role, ToolCall, ToolSpec
from l2mac.trace.objects import ObjectStore

TEXT = st.text(st.characters(), max_size=20)
CALLS = st.builds(ToolCall, TEXT, TEXT, TEXT)
MESSAGES = st.builds(
    Message, st.sampled_from(Role), TEXT, st.lists(CALLS, max_size=3).map(tuple), TEXT
)


@given(messages=st.lists(MESSAGES, max_size=3))
def test_a_message_is_kept_as_all_its_fields_in_the_one_form_of_json(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Message]
) -> None:
    objects = ObjectStore(tmp_path_factory.mktemp("run") / "objects.pack")
    names = RequestKeys(objects).messages(messages)
    assert [objects.get(name) for name in names] == [
        canonical(asdict(message)) for message in messages
    ]
    objects.close()


@given(call=CALLS, tree=TEXT)
def test_call_key_hashes_name_arguments_and_store(call: ToolCall, tree: str) -> None:
    assert RequestKeys(ObjectStore(Path())).key_of_call(call, tree) == hash_of(
        [call.name, call.arguments, tree]
    )


def test_equal_things_have_equal_names_whether_or_not_they_are_the_same(tmp_path: Path) -> None:
    namer = RequestKeys(ObjectStore(tmp_path / "objects.pack"))
    message = Message(Role.ASSISTANT, "", (ToolCall("1", "write", "x" * 1000),))
    again, other = replace(message), replace(message, content="other")
    names = namer.messages([message, again, other, message])
    assert names[0] == names[1] == names[3] != names[2]
    assert namer.messages([other]) == names[2:3]


def test_sets_of_tools_are_told_apart(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path / "objects.pack")
    namer = RequestKeys(objects)
    tools = (ToolSpec("write", "Write.", {"type": "object"}),)
    assert namer.tools(tools) == namer.tools(tuple(tools)) != namer.tools(())
    assert json.loads(objects.get(namer.tools(tools))) == [
        {"name": "write", "description": "Write.", "parameters": {"type": "object"}}
    ]
