"""A scripted model for `l2mac bench`: the smoke task, and problems in HumanEval's form."""

import json
import re
from collections.abc import Mapping

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

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
    "test_temperature.py": (
        "from temperature import to_fahrenheit\n\n\n"
        "def test_boiling():\n    assert to_fahrenheit(100) == 212\n"
    ),
}
EVIDENCE = [
    {"requirement": 1, "files": ["temperature.py"], "tests": ["test_temperature.py::test_boiling"]},
    {
        "requirement": 2,
        "files": ["temperature.py", "made_up.py"],
        "tests": ["test_temperature.py::test_made_up"],
    },
    {"requirement": 3, "files": ["test_temperature.py"], "tests": []},
]
LONGEST = '''def longest(words: list[str]) -> str:
    """Give the first of the longest words.

    >>> longest(["a", "bcd", "ef"])
    'bcd'
    """
'''
HALF = '''def twice(number):
    return number * 2


def half(number: int) -> int:
    """Undo twice.

    >>> half(8)
    4
    """
'''
IS_EVEN = '''def is_even(number: int) -> bool:
    """Say whether a number is even.

    >>> is_even(3)
    False
    """
'''
PROBLEMS: tuple[dict[str, str], ...] = (
    {
        "task_id": "Ours/0",
        "prompt": LONGEST,
        "entry_point": "longest",
        "canonical_solution": "    return max(words, key=len)\n",
        "test": 'def check(candidate):\n    assert candidate(["a", "bcd", "ef"]) == "bcd"\n',
    },
    {
        "task_id": "Ours/1",
        "prompt": HALF,
        "entry_point": "half",
        "canonical_solution": "    return number // 2\n",
        "test": (
            "def check(candidate):\n"
            "    for n in range(-5, 5):\n        assert candidate(twice(n)) == n\n"
        ),
    },
    {
        "task_id": "Ours/2",
        "prompt": IS_EVEN,
        "entry_point": "is_even",
        "canonical_solution": "    return number % 2 == 0\n",
        "test": "def check(candidate):\n    assert candidate(2)\n    assert not candidate(-1)\n",
    },
)
ROMAN = {
    "roman.py": (
        "def to_roman(number):\n"
        '    """Convert."""\n'
        "    if not 0 < number < 40:\n"
        "        raise ValueError(number)\n"
        '    ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]\n'
        '    return "X" * (number // 10) + ones[number % 10]\n'
    ),
    "test_roman.py": (
        'from roman import to_roman\n\n\ndef test_four():\n    assert to_roman(4) == "IV"\n'
    ),
}
ROMAN_EVIDENCE = [{"requirement": 1, "files": ["roman.py"], "tests": ["test_roman.py::test_four"]}]
FORMS: Mapping[str, dict[str, object]] = {
    "submit_requirements": {"requirements": ["Temperatures are converted."]},
    "submit_plan": {"steps": ["Write temperature.py and its test."]},
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {"evidence": EVIDENCE},
}


def problems() -> str:
    """Return the problems as the file that `--humaneval` takes."""
    return "".join(json.dumps(problem) + "\n" for problem in PROBLEMS)


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    (form,) = tools if len(tools) == 1 else ("",)
    if form == "submit_evidence" and "roman.py" in str(body["messages"]):
        return ScriptedReply(tool_calls=[(form, {"evidence": ROMAN_EVIDENCE})])
    if form in FORMS:
        return ScriptedReply(tool_calls=[(form, FORMS[form])])
    if not tools:
        return ScriptedReply("It is written.")
    if any(message.role == "assistant" for message in messages_of(body)):
        return ScriptedReply(tool_calls=[("complete_instruction", {})])
    files = [{"path": path, "content": content} for path, content in _files(body).items()]
    return ScriptedReply(tool_calls=[("write_files", {"files": files})])


def _files(body: dict[str, object]) -> Mapping[str, str]:
    asked = " ".join(message.content for message in messages_of(body))
    wanted = re.search(r"complete function `(\w+)`", asked)
    if wanted is None:
        return ROMAN if "roman.py" in asked else SMOKE
    problem = next(one for one in PROBLEMS if one["entry_point"] == wanted[1])
    solution = "    return True\n" if wanted[1] == "is_even" else problem["canonical_solution"]
    test = (
        f"from solution import {wanted[1]}\n\n\n"
        f"def test_it_is_there():\n    assert callable({wanted[1]})\n"
    )
    return {"solution.py": problem["prompt"] + solution, "test_solution.py": test}
