"""A scripted model with known faults that writes a number of features, and their checks.

Every reply depends on the request alone, so a killed and resumed run gets the same replies again.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from l2mac.processor.messages import Reply, Request, ToolCall, Usage
from l2mac.processor.protocol import Watcher
from sandbox import Job
from sandbox.testing import ScriptedRun, job_result

_END = {"e": "end", "code": 0}
_CHARACTERS_PER_TOKEN = 4


def task_of(*features: str) -> str:
    """Return the task's text."""
    return "\n".join(["Write a package.", *(f"It has feature {name}." for name in features)])


class FeatureValues(TypedDict, total=False):
    """Fields of `FeatureModel`."""

    together: int
    most: int
    forgets: frozenset[str]
    neglects: frozenset[str]
    looks_around: bool
    filler: int
    fails_later: bool
    sloppy: frozenset[str]
    sloppy_versions: frozenset[int]
    blind: bool
    forgetful: bool
    vague: bool


@dataclass(slots=True)
class FeatureModel:
    """A `Processor` that plans, writes one feature per turn and answers every form.

    Attributes:
        together: How many features its plan puts into one instruction.
        most: The number of features of one instruction above which it never ends.
        forgets: Features that its first plan omits.
        neglects: Features that it writes only in instructions for missing requirements.
        looks_around: Whether it needs a turn to list the files when there is no summary.
        filler: The number of further characters of its files.
        fails_later: Whether it never completes instructions for missing requirements.
        sloppy: Features that it writes wrong until a check reports them.
        sloppy_versions: The candidates in which it does so; a draft counts as the first.
        blind: Whether it finds no mistake in its own files.
        forgetful: Whether it begins with undoing the existing files when there is no summary.
        vague: Whether the steps of its plan name no feature.
        forms: Replies to forms in place of the usual ones.
        asked: The requests in order: the forced tool, `turn` or `summary`.
        questions: The last message of each request.
    """

    together: int = 1
    most: int = 100
    forgets: frozenset[str] = frozenset()
    neglects: frozenset[str] = frozenset()
    looks_around: bool = False
    filler: int = 0
    fails_later: bool = False
    sloppy: frozenset[str] = frozenset()
    sloppy_versions: frozenset[int] = frozenset({1, 2, 3})
    blind: bool = False
    forgetful: bool = False
    vague: bool = False
    forms: dict[str, Callable[[str], Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Reply to a request."""
        self.asked.append(request.tool or request.purpose)
        question = request.messages[1].content
        self.questions.append(request.messages[-1].content)
        if request.tool:
            given = self.forms.get(request.tool)
            reply = given(question) if given else self._form(request.tool, question)
        elif request.tools:
            reply = self._turn(request, question)
        else:
            reply = Reply(content=self._text(request))
        watch(reply.content)
        asked = sum(
            len(message.content) + len(str(message.tool_calls)) for message in request.messages
        )
        said = len(reply.content) + len(str(reply.tool_calls))
        usage = Usage(asked // _CHARACTERS_PER_TOKEN, said // _CHARACTERS_PER_TOKEN)
        return Reply(
            content=reply.content,
            tool_calls=reply.tool_calls,
            usage=usage,
            truncated=reply.truncated,
        )

    def _text(self, request: Request) -> str:
        question = request.messages[-1].content
        match request.purpose:
            case "interface":
                return "A file for each feature, named after it, which has a NAME."
            case "feedback":
                seen = [] if self.blind else re.findall(r"--- (\w+)\.py\nNAME = 'WRONG'", question)
                return _said_wrong(seen)
            case "reflection":
                return _said_wrong(re.findall(r"- test_(\w+)\.py::", question))
            case _:
                return f"The files are there, {len(request.messages)} messages later."

    def _form(self, tool: str, question: str) -> Reply:
        match tool:
            case "submit_plan":
                return self._plan(question)
            case "submit_requirements":
                return call(
                    tool, requirements=[f"It has feature {name}." for name in _features(question)]
                )
            case "submit_coverage":
                return self._coverage(question)
            case "submit_replan":
                step = question.partition(" is:\n")[2].partition("Files so far")[0]
                return call(
                    tool, action="split", steps=[_instruction([name]) for name in _features(step)]
                )
            case _:
                return self._evidence(question)

    def _plan(self, question: str) -> Reply:
        features = _features(question)
        if "plan so far" not in question:
            features = [name for name in features if name not in self.forgets]
        if self.vague:
            return call(
                "submit_plan",
                steps=[f"Write part {n} of the task." for n in range(1, len(features) + 1)],
            )
        starts = range(0, len(features), self.together)
        return call(
            "submit_plan",
            steps=[_instruction(features[start : start + self.together]) for start in starts],
        )

    def _coverage(self, question: str) -> Reply:
        wanted, _, plan = question.partition("The plan for it:")
        steps = plan.strip().splitlines()
        coverage = [
            {
                "requirement": number,
                "steps": [place for place, step in enumerate(steps, 1) if name in _features(step)],
            }
            for number, name in enumerate(_features(wanted), 1)
        ]
        return call("submit_coverage", coverage=coverage)

    def _evidence(self, question: str) -> Reply:
        wanted, _, rest = question.partition("Files:")
        evidence = [
            {
                "requirement": number,
                "files": [f"{name}.py"] if f"{name}.py" in rest else [],
                "tests": [f"test_{name}.py::test_it"] if f"test_{name}.py::" in rest else [],
            }
            for number, name in enumerate(_features(wanted), 1)
        ]
        return call("submit_evidence", evidence=evidence)

    def _turn(self, request: Request, question: str) -> Reply:
        turns = sum(message.role == "assistant" for message in request.messages)
        number = int(_found(r"number (\d+) of", question))
        instruction = question.partition("of the plan for it, number")[2].partition("Files so far")[
            0
        ]
        if "whole task" in instruction:
            return self._whole(request, question, instruction)
        features = _features(instruction)
        if vague := re.search(r"part (\d+) of the task", instruction):
            features = _features(question.partition("You carry out")[0])[
                int(vague[1]) - 1 : int(vague[1])
            ]
        told = request.messages[-1].content
        if "checks do not pass" in told and (wrong := re.findall(r"- test_(\w+)\.py", told)):
            return self._feature(wrong[0], right=True)
        if self.forgetful and number > 1 and not turns and "Nothing yet." in question:
            there = re.findall(r"test_(\w+)\.py", question.partition("Files so far")[2])
            return _write({f"{there[0]}.py": "NAME = 'WRONG'\n"})
        if len(features) > self.most:
            return _write({"draft.py": f"TURN = {turns}\n"})
        if self.looks_around and number > 1 and not turns and "Nothing yet." in question:
            return call("list_files")
        seen = "".join(str(message) for message in request.messages).rpartition("Files")[2]
        listed = question.partition("Files so far")[2] + seen
        if "not yet shown" in instruction and self.fails_later:
            return _write({"alpha.py": f"BROKEN = {turns}\n", f"left{turns}.py": ""})
        lazy = self.neglects if "not yet shown" not in instruction else frozenset()
        left = [name for name in features if f"test_{name}.py" not in listed and name not in lazy]
        return self._feature(left[0]) if left else call("complete_instruction")

    def _whole(self, request: Request, question: str, instruction: str) -> Reply:
        """Reply in the window of a method without a plan: correct a mistake, or add a feature."""
        seen = "".join(str(message) for message in request.messages).rpartition("Files")[2]
        mine = "".join(str(message.tool_calls) for message in request.messages)
        wrong = [
            name
            for name in re.findall(r"feature (\w+) is wrong", instruction)
            if f"{name}.py" not in mine
        ]
        if wrong:
            return self._feature(wrong[0], right=True)
        version = re.search(r"version (\d+) of", instruction)
        kinds = (
            ("test_{}.py",)
            if "only the tests" in instruction
            else ("{}.py",)
            if version
            else ("{}.py", "test_{}.py")
        )
        listed = question.partition("Files so far")[2] + seen
        for name in _features(question.partition("You carry out")[0]):
            if name not in self.neglects and kinds[-1].format(name) not in listed:
                right = int(version[1] if version else 1) not in self.sloppy_versions
                return self._feature(name, kinds, right=right)
        return call("complete_instruction")

    def _feature(
        self, name: str, kinds: tuple[str, ...] = ("{}.py", "test_{}.py"), *, right: bool = False
    ) -> Reply:
        """Write a feature; a sloppy one is wrong unless `right`."""
        value = "WRONG" if name in self.sloppy and not right else name
        texts = {
            "{}.py": f"NAME = {value!r}\n" + "# x\n" * (self.filler // 4),
            "test_{}.py": (
                f"from {name} import NAME\n\n\ndef test_it():\n    assert NAME == {name!r}\n"
            ),
        }
        return _write({kind.format(name): texts[kind] for kind in kinds})


def run_checks(jobs: tuple[Job, ...], contents: Mapping[str, bytes] | None = None) -> ScriptedRun:
    """Return the result of checks where all code is valid and every test file has one test.

    A test passes unless the sandbox's `contents` have a wrong feature or lack it.
    """
    paths = [path for job in jobs for path in job.paths]
    tests = [f"{path}::test_it" for path in paths if path.rpartition("/")[2].startswith("test_")]
    events: list[dict[str, object]] = [
        {"e": "declared", "ids": tests},
        {"e": "collected", "ids": tests},
    ]
    failed = 0
    for test in tests:
        feature = test.partition("::")[0].replace("test_", "")
        wrong = contents is not None and b"'WRONG'" in contents.get(feature, b"'WRONG'")
        failed += wrong
        events.append(
            {"e": "phase", "id": test, "when": "call", "outcome": "failed" if wrong else "passed"}
        )
        events.append({"e": "phase", "id": test, "when": "teardown", "outcome": "passed"})
    code = 1 if failed else 0 if tests else 5
    report = _lines(*events, {"e": "end", "code": code})
    return ScriptedRun(
        jobs=(
            job_result("lint", report=_lines(_END)),
            job_result("tests", code=code, report=report),
        )
    )


def call(tool: str, **arguments: object) -> Reply:
    """Return a reply that is one tool call."""
    return Reply(content="", tool_calls=(ToolCall("x", tool, json.dumps(arguments)),))


def _said_wrong(features: list[str]) -> str:
    return (
        " ".join(f"The feature {name} is wrong." for name in dict.fromkeys(features))
        or "Nothing is wrong."
    )


def _instruction(features: list[str]) -> str:
    return "Write " + " and ".join(f"feature {name}" for name in features) + ", with tests."


def _features(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"feature (\w+)", text)))


def _write(files: dict[str, str]) -> Reply:
    return call(
        "write_files", files=[{"path": path, "content": content} for path, content in files.items()]
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise AssertionError(f"the prompt has no {pattern!r}: {text[:500]}")
    return match[1]


def _lines(*events: dict[str, object]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
