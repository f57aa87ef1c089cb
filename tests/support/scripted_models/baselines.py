"""A scripted model for every comparison method: one module and its test, wrong at first.

It corrects the module after feedback, and in a second attempt.
"""

from scripted_models import one_module

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

FILES = one_module.FILES
WRONG = {"todo.py": FILES["todo.py"].replace("[*items, item]", "items")}
_TEXTS = {
    "have to agree on": "todo.py: add(items, item) gives a new list with the item at its end.",
    "strict reviewer": "todo.py: add gives the list without the item; append it.",
    "Reflect on it": "add in todo.py returned the list as it was; it has to append the item.",
}


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    messages = messages_of(body)
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    if not tools:
        texts = [text for words, text in _TEXTS.items() if words in messages[-1].content]
        return ScriptedReply(texts[0] if texts else "todo.py exists.")
    if len(tools) == 1:
        return one_module.answer(body, 0)
    if "The checks do not pass" in messages[-1].content:
        return _write({"todo.py": FILES["todo.py"]})
    if any(message.role == "assistant" for message in messages):
        return ScriptedReply(tool_calls=[("complete_instruction", {})])
    return _write(_first(messages[1].content))


def _first(window: str) -> dict[str, str]:
    """Return the files that are written first in a window."""
    if "Write only the tests" in window:
        return {"test_todo.py": FILES["test_todo.py"], "notes.py": "NOTES = 1\n"}
    if "This is version" in window:
        return WRONG if "version 1 of" in window else {"todo.py": FILES["todo.py"]}
    told = "by this feedback" in window or "What was learned" in window
    return FILES if told else FILES | WRONG


def _write(files: dict[str, str]) -> ScriptedReply:
    listed = [{"path": path, "content": content} for path, content in files.items()]
    return ScriptedReply(tool_calls=[("write_files", {"files": listed})])
