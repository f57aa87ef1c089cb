"""Measure a recorded run in fresh sandboxes; nothing runs on the host.

Three sandboxes are used, so that no code of one measurement affects the next: for lint, counting
and the store's own tests; for coverage; for the task's hand-written tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from l2mac.bench.code_metrics import CodeMetrics, measure_by_hand, measure_code, measure_coverage
from l2mac.bench.judge import FeatureJudge, JudgedProgram
from l2mac.bench.measurement import Measurement
from l2mac.bench.readings import SourceFile
from l2mac.bench.recorded_store import RecordedStore, SandboxMaker
from l2mac.bench.task import Task
from l2mac.control.budget import Limits, Spending
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import ModelCalled, RunEnded
from l2mac.trace.history import effective, recorded_files, state_of
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from l2mac.version import VERSION

CLAIM = (
    "a model's claim; the files were checked to exist and the tests to have passed, not that they"
    " show it"
)
_PROSE = frozenset((".md", ".rst", ".txt"))
_FEATURES = ("features_percent", "features_tested_percent")


def measure(
    folder: Path, task: Task, open_sandbox: SandboxMaker, judge: FeatureJudge | None
) -> Measurement:
    """Return the measurement of a run, for any final status.

    Args:
        folder: The run's folder.
        task: The task of the run.
        open_sandbox: Makes a sandbox for the run of that name, with the packages that its files
            need.
        judge: Judges the features; None if they are not judged.

    Raises:
        SandboxError: No sandbox can be made; one that is lost while it measures is a result.
        ProcessorError: The judge does not answer.
        TraceError: The trace cannot be read.
        SettingsError: The number of hand-written tests is not the one that the task states.
    """
    entries, _, seal = read_trace(folder / TRACE_FILE)
    events = [entry.event for entry in effective(entries)]
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        store = RecordedStore(folder.name, recorded_files(events), objects, open_sandbox)
        numbers = CodeMetrics()
        files, passed = measure_code(store, numbers)
        measure_coverage(store, files, numbers)
        if task.handwritten is not None:
            measure_by_hand(store, task.handwritten, numbers)
        if task.features and judge is not None:
            _measure_features(judge, task, _program(store, files, passed), numbers)
    finally:
        objects.close()
    digests = {entry.path: entry.digest for entry in store.files}
    causes = [event.cause for event in events if isinstance(event, RunEnded)]
    return Measurement(
        run=folder.name,
        seal=seal,
        status=state_of(events),
        cause=causes[-1] if causes else "",
        metrics={**numbers.metrics, **spent(entries)},
        problems=numbers.problems,
        details={
            **numbers.details,
            "receipts": store.receipts,
            "files": digests,
            "version": VERSION,
        },
    )


def spent(entries: Sequence[Entry]) -> dict[str, float | None]:
    """Return the cost of a run, rewound turns included, without the judge's cost."""
    spending = Spending(Limits())
    calls = [entry.event for entry in entries if isinstance(entry.event, ModelCalled)]
    for call in calls:
        spending.add(call)
    return {
        "tokens": spending.prompt_tokens + spending.completion_tokens,
        "cost_usd": round(spending.cost_usd, 6),
        "turns": sum(call.purpose == "turn" for call in calls),
        "seconds": entries[-1].elapsed_s if entries else 0.0,
    }


def _measure_features(
    judge: FeatureJudge, task: Task, program: JudgedProgram, numbers: CodeMetrics
) -> None:
    judgement = judge.judge(task.features, program)
    numbers.details["judge"] = {**asdict(judgement), "by": CLAIM}
    if not judgement.rows:
        numbers.fail(_FEATURES, judgement.problem)
        return
    if judgement.problem:
        numbers.problems["features_percent"] = judgement.problem
    total = len(task.features)
    claimed = sum(row.claimed for row in judgement.rows)
    tested = sum(row.claimed and bool(row.tests) for row in judgement.rows)
    numbers.metrics["features_percent"] = round(100 * claimed / total, 4)
    numbers.metrics["features_tested_percent"] = round(100 * tested / total, 4)


def _program(
    store: RecordedStore, files: Mapping[str, SourceFile], passed: frozenset[str]
) -> JudgedProgram:
    """Return the text files for the judge, code first."""
    texts: dict[str, str] = {}
    evidence: set[str] = set()
    for entry in store.files:
        try:
            texts[entry.path] = store.content(entry).decode("utf-8")
        except UnicodeDecodeError:
            continue
        file = files.get(entry.path)
        if file is not None:
            carries = not file.test and bool(file.statements)
        else:
            suffix = PurePosixPath(entry.path).suffix
            carries = suffix not in _PROSE and suffix != ".py" and bool(texts[entry.path].strip())
        if carries:
            evidence.add(entry.path)
    in_order = sorted(texts, key=lambda path: (path not in evidence, path))
    return JudgedProgram(
        texts={path: texts[path] for path in in_order}, evidence=frozenset(evidence), passed=passed
    )
