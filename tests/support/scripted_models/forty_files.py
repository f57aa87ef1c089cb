"""A scripted model that writes 40 files in 10 instructions, on a server with faults.

Every reply depends on the request alone, so a killed and resumed run gets the same replies again.
Only the faults depend on the number of requests.
"""

import json
import re
from collections.abc import Mapping

from l2mac.testing.faults import ContextTooLong, Dropped, Fault, Garbage, RateLimited, ServerError
from l2mac.testing.scripted_reply import ChatMessage, ScriptedReply, messages_of, tool_names_of

Calls = list[tuple[str, Mapping[str, object] | str]]
INSTRUCTIONS = 10
CONTEXT_TOKENS = 6000
_EXHAUSTING = 4
_FORMS: dict[str, dict[str, object]] = {
    "submit_requirements": {
        "requirements": [f"There is a part {part}." for part in range(1, INSTRUCTIONS + 1)]
    },
    "submit_coverage": {
        "coverage": [{"requirement": n, "steps": [n]} for n in range(1, INSTRUCTIONS + 1)]
    },
    "submit_evidence": {
        "evidence": [
            {
                "requirement": n,
                "files": [f"part{n}/core.py"],
                "tests": [f"part{n}/test_part{n}.py::test_value"],
            }
            for n in range(1, INSTRUCTIONS + 1)
        ]
    },
}
_PROGRESS = "part {} is half written"
_FAULTS: dict[int, Fault] = {
    3: RateLimited("0"),
    8: Dropped(2),
    13: ServerError(503),
    19: Garbage(),
    27: Dropped(1),
    41: RateLimited("0"),
}


def expected_files() -> dict[str, bytes]:
    """Return the files that the run must end with: path → content."""
    files: dict[str, str] = {}
    for part in range(1, INSTRUCTIONS + 1):
        files |= _first(part) | _second(part)
    files["part3/data.bin.txt"] = "crlf\r\nno newline at the end ünïcödé\u00a0"
    return {path: content.encode() for path, content in files.items()}


def answer(body: dict[str, object], index: int) -> ScriptedReply | Fault:
    """Reply to a request: the script of a `ModelServer`."""
    fault = _FAULTS.get(index % 50)
    return fault if fault is not None else _reply(body)


def _reply(body: dict[str, object]) -> ScriptedReply | Fault:
    messages = messages_of(body)
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    if tools == {"submit_plan"}:
        return _plan(messages)
    if tools & _FORMS.keys():
        return ScriptedReply(tool_calls=[(min(tools), _FORMS[min(tools)])])
    number = int(_found(r"number (\d+) of \d+", messages[1].content))
    if not tools:
        exhausted = "no room left" in messages[-1].content
        return ScriptedReply(_PROGRESS.format(number) if exhausted else f"part {number} is done")
    turn = sum(message.role == "assistant" for message in messages)
    restarted = _PROGRESS.format(number) in messages[1].content
    return _turn(number, turn, restarted=restarted)


def _plan(messages: tuple[ChatMessage, ...]) -> ScriptedReply:
    if len(messages) == 2:
        return ScriptedReply(tool_calls=[("submit_plan", '{"steps": ["one"')])
    steps = [f"Write part {number} with its tests." for number in range(1, INSTRUCTIONS + 1)]
    return ScriptedReply(tool_calls=[("submit_plan", {"steps": steps})])


def _turn(number: int, turn: int, *, restarted: bool) -> ScriptedReply | Fault:
    if number == _EXHAUSTING and not restarted:
        return _exhaust(number, turn)
    turns: list[Calls] = [
        [("write_files", _as_files(_first(number)))],
        [("write_files", '{"files": [{"path": "part.py", "cont')],
        [
            ("no_such_tool", {}),
            ("write_files", {"files": [{"path": "../escape.py", "content": ""}]}),
        ],
        [
            (
                "write_files",
                _as_files(
                    {f"part{number}/test_part{number}.py": "def test_value():\n    assert 1 == 2\n"}
                ),
            )
        ],
        [("complete_instruction", {})],
        [
            ("write_files", _as_files(_second(number))),
            ("view_files", {"files": [{"path": f"part{number}/core.py"}]}),
        ],
        [("run_python_file", {"path": f"part{number}/core.py"}), *_extra(number)],
        [("complete_instruction", {})],
    ]
    return ScriptedReply(f"turn {turn}", tool_calls=turns[min(turn, len(turns) - 1)])


def _exhaust(number: int, turn: int) -> ScriptedReply | Fault:
    if turn == 0:
        return ScriptedReply(tool_calls=[("write_files", _as_files(_first(number)))])
    if turn == 6:
        return ContextTooLong()
    view = {"files": [{"path": f"part{number}/core.py", "first_line": 1, "last_line": 90}]}
    return ScriptedReply(f"look {turn}", tool_calls=[("view_files", view)])


def _extra(number: int) -> Calls:
    if number != 3:
        return []
    old = {"path": "part3/data.bin.txt", "old": "LF", "new": "crlf\r\n"}
    first = {
        "files": [
            {"path": "part3/data.bin.txt", "content": "LFno newline at the end ünïcödé\u00a0"}
        ]
    }
    return [("write_files", first), ("edit_file", old)]


def _first(number: int) -> dict[str, str]:
    rows = "".join(
        f"    {row}: 'row {row} of part {number}',\n"
        for row in range(90 if number == _EXHAUSTING else 3)
    )
    core = (
        f'"""Part {number}."""\n\nROWS = {{\n{rows}}}\n\n\n'
        f'def value():\n    """Give it."""\n    return {number}\n'
    )
    return {f"part{number}/__init__.py": "", f"part{number}/core.py": core + _MAIN}


def _second(number: int) -> dict[str, str]:
    test = (
        f"from part{number}.core import value\n\n\n"
        f"def test_value():\n    assert value() == {number}\n"
    )
    return {
        f"part{number}/test_part{number}.py": test,
        f"part{number}/notes.md": f"# Part {number}\n\n$100 {{x}}\n",
    }


_MAIN = "\n\nif __name__ == '__main__':\n    print(value())\n"


def _as_files(files: dict[str, str]) -> dict[str, object]:
    return {"files": [{"path": path, "content": content} for path, content in files.items()]}


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise AssertionError(f"the prompt has no {pattern!r}: {json.dumps(text)[:500]}")
    return match[1]
