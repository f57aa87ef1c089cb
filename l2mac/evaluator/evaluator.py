"""The evaluator E(D) of the paper: checks of the file store, and one verdict.

The verdict that is recorded is the one that the control unit acts on: findings of the run's input
are excused by then (`baseline`), and tests that have gone out of sight are held against it
(`test_ledger`). On a resumed or replayed run each method returns what the trace holds and touches
no sandbox.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

import pydantic

from l2mac.errors import SettingsError, TraceError
from l2mac.evaluator.baseline import Baseline
from l2mac.evaluator.checks import (
    Checks,
    describe,
    evaluate,
    evaluate_input,
    evaluate_originals,
)
from l2mac.evaluator.packages import Dependencies
from l2mac.evaluator.test_ledger import TestLedger
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from l2mac.file_store import FileStore, SandboxMaker
from l2mac.trace.events import Checked
from l2mac.trace.history import tree_hash
from l2mac.trace.journal import Journal
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry

_REPORT: pydantic.TypeAdapter[CheckReport] = pydantic.TypeAdapter(CheckReport)


class Evaluator:
    """The checks of a run's file store, with a record of each verdict.

    Args:
        journal: Records every evaluation.
        store: The file store.
        checks: The checks of the run's domain.
        make_sandbox: Makes the fresh sandboxes of the final verification and of the input.
        dependencies: The packages that the store's files name.
        origin: The files that the run began with, path → object; empty where it began with none.

    Attributes:
        report: The newest verdict; empty before the first one.
        input_report: The checks' result on the unchanged input, before any finding is excused.
        remark: A sentence for the outcome on how the work was checked.
        checks_work: Whether the work is checked on the way.
    """

    remark = ""
    checks_work = True

    def __init__(
        self,
        *,
        journal: Journal,
        store: FileStore,
        checks: Checks,
        make_sandbox: SandboxMaker,
        dependencies: Dependencies,
        origin: Mapping[str, str],
    ) -> None:
        self._journal = journal
        self._store = store
        self._checks = checks
        self._make_sandbox = make_sandbox
        self._dependencies = dependencies
        self._origin = origin
        self._baseline = Baseline(origin)
        self._ledger = TestLedger()
        self._learned: set[str] = set()
        self._state = self._checked_tree = ""
        self.report = CheckReport()
        self.input_report = CheckReport()

    @property
    def tree(self) -> str:
        """A hash of the store as it is now."""
        return self._store.tree

    @property
    def summary(self) -> str:
        """The newest verdict in one line."""
        return self.report.summary

    @property
    def is_outdated(self) -> bool:
        """Whether the store has changed since the newest verdict."""
        return self._store.tree != self._checked_tree

    def findings(self, limit: int) -> str:
        """Return the newest findings as text for the model, in about `limit` characters."""
        return describe(self.report, limit)

    def start(self) -> CheckReport:
        """Evaluate the unchanged input; return the verdict without its own findings.

        Both are recorded: the baseline, and the verdict that stands until something is written. A
        run without input records nothing.

        Raises:
            SettingsError: The checks of the input do not come to an end.
        """
        if not self._origin:
            return self.report
        key = f"input {self._store.tree}"
        unmet = self._dependencies.resolve(self._store)
        self.input_report = self._recorded(key, lambda: self._begun(unmet), baseline=True)
        self._baseline.start_from(self.input_report)
        self._ledger = TestLedger.of_input(self.input_report)
        state = self._state_of(whole=False)
        return self._enter(state, self._recorded(state, lambda: self._judged(self.input_report)))

    def check(self, *, whole: bool) -> CheckReport:
        """Return the verdict on the store, evaluating it unless its state is known.

        Args:
            whole: Whether everything has to be there by now, because nothing is to come.
        """
        if self._state_of(whole=whole) == self._state:
            return self.report
        return self.evaluate(whole=whole)

    def evaluate(self, *, whole: bool) -> CheckReport:
        """Return the verdict on the store, which is evaluated even if it has not changed."""
        state = self._state_of(whole=whole)
        unmet = self._dependencies.resolve(self._store)
        self._learn()
        found = self._recorded(
            state, lambda: self._judged(self._evaluated(self._store, unmet, whole=whole))
        )
        all_checked = whole or self._checks.at_the_end is None
        self._baseline.observe(found, self._contents(), whole=all_checked)
        return self._enter(state, found)

    def check_candidate(self) -> CheckReport:
        """Evaluate one of several candidates; the ledger does not count it.

        A test that fails with one candidate does not count against another candidate.
        """
        unmet = self._dependencies.resolve(self._store)
        return self._recorded(
            self._state_of(whole=True),
            lambda: self._excused(self._evaluated(self._store, unmet, whole=True)),
        )

    def verify(self) -> CheckReport:
        """Return the verdict on the recorded files, in a fresh sandbox."""
        key = f"final {self._store.tree}"
        unmet = self._dependencies.resolve(self._store)
        self.report = self._recorded(key, lambda: self._verified(unmet), final=True)
        return self.report

    def _enter(self, state: str, report: CheckReport) -> CheckReport:
        """Set a recorded verdict as the newest one."""
        self._ledger = self._ledger.after(report)
        self._state, self._checked_tree = state, self._store.tree
        self.report = report
        return report

    def _state_of(self, *, whole: bool) -> str:
        """Return the key of an evaluation: the store, and whether all has to be there."""
        more_is_due = whole and self._checks.at_the_end is not None
        return f"end {self._store.tree}" if more_is_due else self._store.tree

    def _judged(self, report: CheckReport) -> CheckReport:
        """Return the verdict on an evaluation, after all evaluations before it."""
        excused = self._excused(report)
        return self._ledger.after(excused).judge(excused)

    def _excused(self, report: CheckReport) -> CheckReport:
        return self._baseline.judge(report, self._contents())

    def _begun(self, unmet: CheckResult | None) -> CheckReport:
        report = evaluate_input(self._store, self._checks) if unmet is None else _only(unmet)
        if unmet is not None or report.verdict is Verdict.BROKEN:
            raise SettingsError(
                "--input-dir",
                "The checks of the files in --input-dir did not end, so their findings before the"
                f" run are unknown ({report.summary}). Raise --timeout or --memory, or exclude"
                " files with --exclude.",
            )
        return report

    def _evaluated(
        self, store: FileStore, unmet: CheckResult | None, *, whole: bool
    ) -> CheckReport:
        """Run the checks, unless packages that the files name are missing."""
        if unmet is not None:
            return _only(unmet)
        origin = self._origin
        known = {path for path, name in self._contents().items() if origin.get(path) == name}
        return evaluate(store, self._checks, at_the_end=whole, known=known)

    def _learn(self) -> None:
        """Determine the findings of changed files before their change if unknown."""
        before = {path: FileEntry(path, 0, name) for path, name in self._origin.items()}
        now = self._contents()
        changed = [
            before[path] for path in now if path in before and before[path].digest != now[path]
        ]
        new = [entry for entry in changed if entry.path not in self._learned]
        if not new or not self._checks.originals(new, tuple(before.values())):
            return
        key = f"before {tree_hash(new)}"
        self._baseline.learn(self._recorded(key, lambda: self._originals(new), baseline=True))
        self._learned.update(entry.path for entry in new)

    def _originals(self, changed: list[FileEntry]) -> CheckReport:
        input_again = FileStore(lambda _: self._make_sandbox("input"), self._journal.objects)
        try:
            input_again.adopt(FileEntry(path, 0, name) for path, name in self._origin.items())
            return evaluate_originals(input_again, self._checks, changed)
        finally:
            input_again.close()

    def _verified(self, unmet: CheckResult | None) -> CheckReport:
        fresh = FileStore(lambda _: self._make_sandbox("verify"), self._journal.objects)
        try:
            fresh.adopt(self._store.files)
            found = self._excused(self._evaluated(fresh, unmet, whole=True))
            return self._ledger.judge_fresh(found)
        finally:
            fresh.close()

    def _recorded(
        self,
        key: str,
        evaluate_now: Callable[[], CheckReport],
        *,
        final: bool = False,
        baseline: bool = False,
    ) -> CheckReport:
        """Return the recorded report of an evaluation, or evaluate and record it now."""
        objects = self._journal.objects

        def perform() -> Checked:
            report = evaluate_now()
            return Checked(
                key=key,
                verdict=report.verdict,
                summary=report.summary,
                report_object=objects.put(_as_json(report)),
                final=final,
                baseline=baseline,
            )

        return recorded_report(self._journal.effect(Checked, key, perform), objects)

    def _contents(self) -> Mapping[str, str]:
        """Return the store, path → object; empty for a run without input."""
        if not self._origin:
            return {}
        return {entry.path: entry.digest for entry in self._store.files}


def recorded_report(event: Checked, objects: ObjectStore) -> CheckReport:
    """Return the report of a recorded evaluation, with the verdict that was acted on.

    Raises:
        TraceError: The object is missing, altered, or not a report of checks.
    """
    try:
        return _REPORT.validate_json(objects.get(event.report_object))
    except pydantic.ValidationError as error:
        raise TraceError(
            f"the object {event.report_object[:12]} is not a report of checks that this version of"
            " l2mac knows"
        ) from error


def _only(result: CheckResult) -> CheckReport:
    return CheckReport((result,))


def _as_json(report: CheckReport) -> bytes:
    text = json.dumps(asdict(report), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii")
