"""Traces that are written line by line, so that every number in them is known."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from run_specs import definition_of

from l2mac.control.outcome import RequirementRow
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, TestCounts, Verdict
from l2mac.trace.chain import START, End, Entry, encode_line, read_trace
from l2mac.trace.events import (
    Checked,
    CoverageClaimed,
    Event,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    PlanMade,
    Replanned,
    RequirementsListed,
    RequirementsVerified,
    Rewound,
    RunEnded,
    RunStarted,
    SandboxOpened,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.history import effective, recorded_files, tree_hash
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from sandbox import Change

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    "\"'&`|\u202e\x1b[31m\u0000\ufffe](javascript:x)"
    "\n\n# Heading"
)
HALF = "\ud800"
"""Half a surrogate pair; only texts can hold one, events cannot."""
HOSTILE_PATH = "a/</td><svg onload=alert(3)>\u202egnp.py"


class TraceBuilder:
    """A run's folder while its trace is written.

    Args:
        folder: The new folder.
        took_s: Seconds between two lines.
    """

    def __init__(self, folder: Path, *, took_s: float = 1.0) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.objects = ObjectStore(folder / OBJECTS_FILE)
        self._took_s = took_s
        self._end: End = START
        self._reports: dict[int, tuple[CheckReport, str]] = {}

    def add(self, *events: Event) -> "TraceBuilder":
        """Append lines."""
        with (self.folder / TRACE_FILE).open("ab") as file:
            for event in events:
                line, link = encode_line(
                    Entry(self._end.number, self._end.number * self._took_s, event), self._end.link
                )
                file.write(line)
                self._end = End(self._end.number + 1, link, self._end.size + len(line))
        return self

    @property
    def seal(self) -> str:
        """The last link."""
        return self._end.link

    def put(self, text: str) -> str:
        """Store a text."""
        return self.objects.put_text(text)

    def begin(
        self, task: str = "Make it.", *, context_tokens: int = 4000, **settings: object
    ) -> "TraceBuilder":
        """Append the lines that a run begins with."""
        return self.add(
            RunStarted(
                task_object=self.put(task),
                domain="codebase",
                domain_object=self.put(definition_of("codebase")),
                settings={
                    "steps": 10,
                    "context_tokens": context_tokens,
                    "program": [],
                    **settings,
                },
            ),
            SessionStarted(reason="run", version="0.1.0", model="scripted", image="none"),
        )

    def plan(self, *texts: str) -> "TraceBuilder":
        """Append the program."""
        return self.add(PlanMade(source="model", instruction_objects=tuple(map(self.put, texts))))

    def call(
        self, purpose: str = "turn", *, sent: int = 100, got: int = 10, usd: float = 0.5
    ) -> "TraceBuilder":
        """Append a model call; a call without a reply was refused as too long."""
        reply = self.put("{}") if got else ""
        return self.add(
            ModelCalled(
                key="k", purpose=purpose, message_objects=(), tools_object="", tool="",
                temperature=0.0,
                max_reply_tokens=100, reply_object=reply, prompt_tokens=sent,
                completion_tokens=got, counted=True, cost_usd=usd, model="scripted-1",
            )
        )  # fmt: skip

    def write(self, *paths: str, size: int = 10, deleted: bool = False) -> "TraceBuilder":
        """Append a call that changed these files."""
        changes = tuple(
            Change(path, -1 if deleted else size, "" if deleted else "ab" * 32) for path in paths
        )
        return self.tool("write_files", {}, changes=changes)

    def tool(
        self,
        name: str,
        arguments: dict[str, object],
        *,
        ok: bool = True,
        changes: Iterable[Change] = (),
    ) -> "TraceBuilder":
        """Append a tool call."""
        outcome, given = self.put("done"), self.put(json.dumps(arguments))
        return self.add(
            ToolRan(
                key="k",
                name=name,
                arguments_object=given,
                outcome_object=outcome,
                ok=ok,
                changes=tuple(changes),
            )
        )

    def check(
        self, report: CheckReport, *, final: bool = False, baseline: bool = False
    ) -> "TraceBuilder":
        """Append a check of the store as it is."""
        if id(report) not in self._reports:
            self._reports[id(report)] = (report, self.put(json.dumps(asdict(report))))
        name = self._reports[id(report)][1]
        counting = effective(read_trace(self.folder / TRACE_FILE)[0]) if final else ()
        tree = tree_hash(recorded_files(entry.event for entry in counting))
        key = f"final {tree}" if final else tree
        return self.add(
            Checked(
                key=key,
                verdict=report.verdict,
                summary=report.summary,
                report_object=name,
                final=final,
                baseline=baseline,
            )
        )

    def instruction(self, number: int, *, total: int = 2, restart: int = 0) -> "TraceBuilder":
        """Append the beginning of an instruction."""
        return self.add(InstructionStarted(number=number, total=total, restart=restart))

    def done(self, number: int) -> "TraceBuilder":
        """Append that an instruction is done."""
        return self.add(
            InstructionCompleted(number=number, summary_object=self.put("done"), tree="t")
        )

    def end(self, status: str = "completed", cause: str = "all is well") -> "TraceBuilder":
        """Append the session's end."""
        return self.add(RunEnded(status=status, cause=cause))


def report(
    *,
    passed: Iterable[str] = (),
    failed: Iterable[str] = (),
    lint: int = 0,
    syntax: int = 0,
    text: str = "it broke",
) -> CheckReport:
    """Return a report in the form of the checks of a codebase."""
    outcomes = (*((test, "passed") for test in passed), *((test, "failed") for test in failed))
    failing = tuple(test for test, how in outcomes if how == "failed")
    counts = TestCounts(
        collected=len(outcomes), passed=len(outcomes) - len(failing), failed=len(failing)
    )
    named = [_found("syntax", syntax)]
    if syntax:
        named += [
            CheckResult(name=name, verdict=Verdict.FAILED, summary="not judged")
            for name in ("lint", "tests")
        ]
        return CheckReport(tuple(named))
    verdict = Verdict.FAILED if failing else Verdict.PASSED if outcomes else Verdict.NOTHING
    tests = CheckResult(
        name="tests", verdict=verdict,
        summary=f"{counts.passed} passed, {counts.failed} failed", counts=counts,
        findings=tuple(Finding(test, text) for test in failing), outcomes=outcomes, declared=(),
    )  # fmt: skip
    return CheckReport((*named, _found("lint", lint), tests))


def _found(name: str, count: int) -> CheckResult:
    findings = tuple(Finding(f"a.py:{line}", f"{name} {line}") for line in range(1, count + 1))
    verdict = Verdict.FAILED if count else Verdict.PASSED
    return CheckResult(
        name=name,
        verdict=verdict,
        summary=f"{count} errors" if count else "clean",
        findings=findings,
    )


def receipt(verdicts: Iterable[str] = ("match", "match", "not available")) -> str:
    """Return a receipt's text."""
    rows = [
        {"name": f"inside.{n}", "wanted": 1, "seen": 1, "verdict": one}
        for n, one in enumerate(verdicts)
    ]
    image = {
        "reference": "python:3.11",
        "base": "sha256:base",
        "digest": "sha256:digest",
        "sandbox": "sha256:sandbox",
    }
    return json.dumps(
        {
            "image": image,
            "engine": {"version": "29.0"},
            "runtime": "runsc",
            "own_kernel": True,
            "rows": rows,
        }
    )


def known(folder: Path) -> TraceBuilder:
    """Write a run of two instructions with a split, a restart, a rewind and every kind of figure.

    Each line takes a second. Each model call sends 100 tokens, gets 10 and costs half a dollar.
    """
    trace = TraceBuilder(folder).begin(
        "Make a package.", seed=7, setup={"model": "scripted", "base_url": "http://secret/v1"}
    )
    trace.add(SandboxOpened(receipt_object=trace.put(receipt()), purpose="work"))
    trace.call("plan").plan("Write a.", "Write b and c.")
    trace.add(RequirementsListed(requirement_objects=tuple(map(trace.put, ("A.", "B.", "C.")))))
    trace.add(CoverageClaimed(round=1, steps=((1,), (), (2,))))
    trace.instruction(1).call().write("a.py", "old.py").check(report(lint=2)).call(sent=0, got=0)
    trace.instruction(1, restart=1).call(sent=3000).write("a.py").check(report(syntax=1))
    trace.call().write("old.py", deleted=True).check(report(passed=["test_a.py::test_a"])).done(1)
    trace.instruction(2).call().write("wrong.py")
    trace.add(Rewound(to=19, step=4))
    trace.instruction(2).call().tool(
        "view_files", {"files": [{"path": "a.py"}, {"path": "missing.py"}]}
    )
    trace.call("replan")
    parts = tuple(map(trace.put, ("Write b.", "Write c.")))
    trace.add(Replanned(number=2, action="split", instruction_objects=parts))
    trace.instruction(2, total=3).call().write("p/b.py").tool("run_python_file", {"path": "a.py"})
    trace.check(report(passed=["test_a.py::test_a"], failed=["test_a.py::test_b"])).done(2)
    trace.instruction(3, total=3).call().write("c.py")
    final = report(passed=["test_a.py::test_a", "test_a.py::test_b[1-x]"])
    trace.check(final).done(3).check(final, final=True)
    rows = [
        RequirementRow(requirement="A.", shown=True, files=("a.py",), tests=("test_a.py::test_a",))
    ]
    rows += [
        RequirementRow(requirement="B.", shown=False),
        RequirementRow(requirement="C.", shown=True, files=("c.py",)),
    ]
    table = trace.put(json.dumps([asdict(row) for row in rows]))
    trace.add(RequirementsVerified(round=1, verified=2, total=3, table_object=table))
    return trace.end("requirements unverified", "1 of 3 requirements are not shown")


def hostile(folder: Path) -> TraceBuilder:
    """Write a run whose texts and names, as a model or sandbox can choose them, are hostile."""
    trace = TraceBuilder(folder).begin(HOSTILE + HALF, setup={"model": HOSTILE})
    text = json.dumps(
        {
            "image": {"reference": HOSTILE},
            "runtime": HOSTILE,
            "rows": [{"name": HOSTILE, "verdict": HOSTILE}],
        }
    )
    trace.add(SandboxOpened(receipt_object=trace.put(text), purpose="work"))
    trace.call("plan").plan(HOSTILE + HALF, "b")
    trace.add(RequirementsListed(requirement_objects=(trace.put(HOSTILE),), problem=HOSTILE))
    trace.add(CoverageClaimed(round=1, steps=((),), problem=HOSTILE))
    trace.instruction(1).call().write(HOSTILE_PATH, HOSTILE)
    test = f"{HOSTILE_PATH}::test_{HOSTILE}[{HOSTILE}]"
    trace.check(report(failed=[test], lint=1, text=HOSTILE)).done(1)
    trace.check(report(failed=[test], text=HOSTILE), final=True)
    row = RequirementRow(requirement=HOSTILE, shown=True, files=(HOSTILE_PATH,), tests=(test,))
    table = trace.put(json.dumps([asdict(row)]))
    trace.add(
        RequirementsVerified(round=1, verified=1, total=1, table_object=table, problem=HOSTILE)
    )
    return trace.end("completed", HOSTILE)


def large(folder: Path) -> TraceBuilder:
    """Write a run of about 10,000 lines with 1,000 files in 400 instructions."""
    trace = TraceBuilder(folder, took_s=0.5).begin("Make everything. " * 2000)
    trace.plan(*(f"Write part {number}, {'at length, ' * 50}" for number in range(1, 401)))
    tests = [f"tests/test_{n}.py::test_{'long' * 20}_{n}" for n in range(60)]
    every = report(passed=tests, lint=3)
    for number in range(1, 401):
        trace.instruction(number, total=400)
        for turn in range(6):
            first = (number * 7 + turn * 3) % 1000
            trace.call(sent=500 + 90 * turn, got=50).write(
                f"package/part_{first:04}/{'x' * 40}.py", f"m{first}.py"
            )
            trace.check(every if turn else report(failed=tests[:20], lint=number % 9)).call(
                "summary"
            )
        trace.done(number)
    return trace.check(report(passed=tests), final=True).end()
