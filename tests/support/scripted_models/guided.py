"""A scripted small model without tool calls, for guided mode; it forgets an import."""

import json

from scripted_models.one_module import FILES

from l2mac.testing.scripted_reply import ScriptedReply, messages_of

IMPORT = "from todo import add"
FORMS: dict[str, dict[str, object]] = {
    "ready": {"answer": "yes"},
    "submit_files": {"files": [{"path": path, "holds": f"all of {path}"} for path in FILES]},
    "edit_lines": {"action": "insert_before", "line": 1, "last_line": 1, "text": IMPORT},
    "submit_done": {"done": True, "missing": "", "path": ""},
    "submit_requirements": {"requirements": ["Things can be added to a list."]},
    "submit_evidence": {
        "evidence": [{"requirement": 1, "files": ["todo.py"], "tests": ["test_todo.py::test_add"]}],
    },
}


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    schema = json.dumps(body.get("response_format") or {})
    for form, arguments in FORMS.items():
        if f'"const": "{form}"' in schema:
            return ScriptedReply(tool_calls=[(form, arguments)])
    question = messages_of(body)[-1].content
    path = next((path for path in FILES if f"Write {path} now" in question), "")
    content = FILES[path].replace(IMPORT + "\n\n\n", "") if path else "I am ready."
    return ScriptedReply(f"```python\n{content}```\n")
