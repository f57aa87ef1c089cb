"""A scripted model for `l2mac bench`: it does the smoke task and three problems in HumanEval's form, well or badly."""

import json
import re
from collections.abc import Mapping
from typing import Any

from l2mac.testing.scripted_reply import ScriptedReply

SMOKE = {
    "temperature.py": (
        '"""Temperatures."""\n\nZERO = -273.15  # degrees Celsius\n\n\n'
        "def to_fahrenheit(celsius):\n"
        '    """Convert."""\n'
        "    if celsius < ZERO:\n"
        '        raise ValueError("colder than absolute zero")\n'
        "    return celsius * 9 / 5 + 32\n\n\n"
        "def to_celsius(fahrenheit):\n"
        '    """Convert."""\n'
        "    celsius = (fahrenheit - 32) * 5 / 9\n"
        "    if celsius < ZERO:\n"
        '        raise ValueError("colder than absolute zero")\n'
        "    return celsius\n"
    ),
    "test_temperature.py": "from temperature import to_fahrenheit\n\n\ndef test_boiling():\n    assert to_fahrenheit(100) == 212\n",
}
EVIDENCE = [
    {"requirement": 1, "files": ["temperature.py"], "tests": ["test_temperature.py::test_boiling"]},
    {"requirement": 2, "files": ["temperature.py", "made_up.py"], "tests": ["test_temperature.py::test_made_up"]},
    {"requirement": 3, "files": ["test_temperature.py"], "tests": []},
]
PROBLEMS = (
    {
        "task_id": "Ours/0",
        "prompt": 'def longest(words: list[str]) -> str:\n    """Give the first of the longest words.\n\n    >>> longest(["a", "bcd", "ef"])\n    \'bcd\'\n    """\n',
        "entry_point": "longest",
        "canonical_solution": "    return max(words, key=len)\n",
        "test": 'def check(candidate):\n    assert candidate(["a", "bcd", "ef"]) == "bcd"\n    assert candidate(["aa", "bb"]) == "aa"\n',
    },
    {
        "task_id": "Ours/1",
        "prompt": 'def twice(number):\n    return number * 2\n\n\ndef half(number: int) -> int:\n    """Undo twice.\n\n    >>> half(8)\n    4\n    """\n',
        "entry_point": "half",
        "canonical_solution": "    return number // 2\n",
        "test": "def check(candidate):\n    for number in range(-5, 5):\n        assert candidate(twice(number)) == number\n",
    },
    {
        "task_id": "Ours/2",
        "prompt": 'def is_even(number: int) -> bool:\n    """Say whether a number is even.\n\n    >>> is_even(3)\n    False\n    """\n',
        "entry_point": "is_even",
        "canonical_solution": "    return number % 2 == 0\n",
        "test": "def check(candidate):\n    assert candidate(2)\n    assert not candidate(-1)\n",
    },
)
FORMS: Mapping[str, dict[str, Any]] = {
    "submit_requirements": {"requirements": ["Temperatures are converted."]},
    "submit_plan": {"steps": ["Write temperature.py and its test."]},
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {"evidence": EVIDENCE},
}


def problems() -> str:
    """Give the problems as the file that `--humaneval` takes."""
    return "".join(json.dumps(problem) + "\n" for problem in PROBLEMS)


def answer(body: dict[str, Any], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    tools = {tool["function"]["name"] for tool in body.get("tools", [])}
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    (form,) = tools if len(tools) == 1 else ("",)
    if form in FORMS:
        return ScriptedReply(tool_calls=[(form, FORMS[form])])
    if not tools:
        return ScriptedReply("It is written.")
    if any(message["role"] == "assistant" for message in body["messages"]):
        return ScriptedReply(tool_calls=[("complete_instruction", {})])
    files = [{"path": path, "content": content} for path, content in _files(body).items()]
    return ScriptedReply(tool_calls=[("write_files", {"files": files})])


def _files(body: dict[str, Any]) -> Mapping[str, str]:
    asked = " ".join(str(message["content"]) for message in body["messages"])
    wanted = re.search(r"complete function `(\w+)`", asked)
    if wanted is None:
        return SMOKE
    problem = next(one for one in PROBLEMS if one["entry_point"] == wanted[1])
    solution = "    return True\n" if wanted[1] == "is_even" else problem["canonical_solution"]
    test = f"from solution import {wanted[1]}\n\n\ndef test_it_is_there():\n    assert callable({wanted[1]})\n"
    return {"solution.py": problem["prompt"] + solution, "test_solution.py": test}
