"""A scripted model that writes one module and its test in one instruction."""

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

FILES = {
    "todo.py": (
        '"""A list."""\n\n\ndef add(items, item):\n    """Add one."""\n    return [*items, item]\n'
    ),
    "test_todo.py": (
        'from todo import add\n\n\ndef test_add():\n    assert add(["a"], "b") == ["a", "b"]\n'
    ),
}
FORMS: dict[str, dict[str, object]] = {
    "submit_requirements": {"requirements": ["Things can be added to a list."]},
    "submit_plan": {"steps": ["Write todo.py and its test."]},
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {
        "evidence": [{"requirement": 1, "files": ["todo.py"], "tests": ["test_todo.py::test_add"]}],
    },
}


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    (form,) = tools if len(tools) == 1 else ("",)
    if form in FORMS:
        return ScriptedReply(tool_calls=[(form, FORMS[form])])
    if not tools:
        return ScriptedReply("todo.py exists.")
    if any(message.role == "assistant" for message in messages_of(body)):
        return ScriptedReply(tool_calls=[("complete_instruction", {})])
    files = [{"path": path, "content": content} for path, content in FILES.items()]
    return ScriptedReply(tool_calls=[("write_files", {"files": files})])
