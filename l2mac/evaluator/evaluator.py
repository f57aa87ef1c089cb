"""The checks as effects: the input as it came, the store after every change, the result in a fresh box.

On a resumed run each method gives what the record says and touches no box.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pydantic

from l2mac.errors import SettingsError
from l2mac.evaluator.baseline import Baseline
from l2mac.evaluator.checks import Checks, evaluate, evaluate_input, evaluate_originals
from l2mac.evaluator.packages import Dependencies
from l2mac.evaluator.project_outline import read_survey
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from l2mac.file_store import FileStore, SandboxMaker, SandboxReplaced
from l2mac.trace.events import Checked, ProjectOutlined
from l2mac.trace.history import tree_hash
from l2mac.trace.journal import Journal
from sandbox import FileEntry, Job

_REPORT: pydantic.TypeAdapter[CheckReport] = pydantic.TypeAdapter(CheckReport)
_AT_THE_END = "end "
_SURVEYED = (".py", ".md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Looks at the store in a box and records what it sees.

    Attributes:
        make_box: Makes the fresh box of the final verification.
        dependencies: The packages that the store's files name.
        origin: The files that the run began with, path → object; empty where it began with none.
        baseline: What was wrong with them.
        learned: The files of which it has been found out what lint said of them before they were changed.
    """

    journal: Journal
    store: FileStore
    checks: Checks
    make_sandbox: SandboxMaker
    dependencies: Dependencies
    origin: Mapping[str, str] = field(default_factory=dict)
    baseline: Baseline = field(default_factory=lambda: Baseline({}))
    learned: set[str] = field(default_factory=set)

    def begin(self) -> CheckReport:
        """Evaluate the input as it came; what is wrong with it is excused from then on.

        Raises:
            SettingsError: That does not come to an end.
        """
        key = f"input {self.store.tree}"
        unmet = self.dependencies.settle(self.store)
        report = self._read(self.journal.effect(Checked, key, lambda: self._begun(key, unmet)))
        self.baseline.start_from(report)
        return report

    def excused(self, report: CheckReport) -> CheckReport:
        """Give a report on the store with what was wrong with the input excused."""
        return self.baseline.judge(report, self._contents())

    def survey(self, limit: int, task: str) -> str:
        """Give an outline of the input in about `limit` characters, made in the box and without running any of it."""
        key = f"survey {self.store.tree}"
        event = self.journal.effect(ProjectOutlined, key, lambda: self._surveyed(key, limit, task))
        return self.journal.objects.get_text(event.text_object)

    def state(self, *, at_the_end: bool) -> str:
        """Give what the next check depends on: the store, and whether all has to be there by now."""
        more_is_due = at_the_end and self.checks.at_the_end is not None
        return f"{_AT_THE_END}{self.store.tree}" if more_is_due else self.store.tree

    def check(self, state: str) -> CheckReport:
        """Evaluate the store, which is in that state; without the packages that it names there is no more to say."""
        unmet = self.dependencies.settle(self.store)
        at_the_end = state.startswith(_AT_THE_END)
        self._learn()
        event = self.journal.effect(
            Checked,
            state,
            lambda: self._checked(state, self.store, unmet, at_the_end=at_the_end, final=False),
        )
        report = self._read(event)
        whole = at_the_end or self.checks.at_the_end is None
        self.baseline.observe(report, self._contents(), whole=whole)
        return report

    def verify(self) -> CheckReport:
        """Evaluate the recorded files in a fresh box, which nothing of the working box can have reached."""
        key = f"final {self.store.tree}"
        unmet = self.dependencies.settle(self.store)
        return self._read(self.journal.effect(Checked, key, lambda: self._verified(key, unmet)))

    def _begun(self, key: str, unmet: CheckResult | None) -> Checked:
        report = (
            CheckReport((unmet,)) if unmet is not None else evaluate_input(self.store, self.checks)
        )
        if unmet is not None or report.verdict is Verdict.BROKEN:
            raise SettingsError(
                "--input-dir",
                f"what was wrong with the files before cannot be told, as their checks came to no end"
                f" ({report.summary}); raise --timeout or --memory, or leave out with --exclude what cannot be checked",
            )
        return self._as_checked(key, report, baseline=True)

    def _learn(self) -> None:
        """Find out what was wrong with files before they were changed, where that has not been said of all at first."""
        before = {path: FileEntry(path, 0, name) for path, name in self.origin.items()}
        now = self._contents()
        changed = [
            before[path] for path in now if path in before and before[path].digest != now[path]
        ]
        new = [entry for entry in changed if entry.path not in self.learned]
        if not new or not self.checks.originals(new, tuple(before.values())):
            return
        key = f"before {tree_hash(new)}"
        self.baseline.learn(
            self._read(self.journal.effect(Checked, key, lambda: self._originals(key, new)))
        )
        self.learned.update(entry.path for entry in new)

    def _originals(self, key: str, changed: list[FileEntry]) -> Checked:
        input_again = FileStore(lambda _: self.make_sandbox("input"), self.journal.objects)
        try:
            input_again.adopt(FileEntry(path, 0, name) for path, name in self.origin.items())
            report = evaluate_originals(input_again, self.checks, changed)
        finally:
            input_again.close()
        return self._as_checked(key, report, baseline=True)

    def _surveyed(self, key: str, limit: int, task: str) -> ProjectOutlined:
        paths = tuple(
            entry.path
            for entry in self.store.files
            if entry.path.endswith(_SURVEYED) or _is_readme(entry.path)
        )
        text = ""
        if paths:
            try:
                execution = self.store.execute(
                    (Job("survey", checker="survey", paths=paths),), keep_changes=False
                )
                text = read_survey(execution.result.job("survey"), limit, task)
            except SandboxReplaced as loss:
                text = f"(there is no outline: {loss})"
        return ProjectOutlined(key=key, text_object=self.journal.objects.put_text(text))

    def _verified(self, key: str, unmet: CheckResult | None) -> Checked:
        fresh = FileStore(lambda _: self.make_sandbox("verify"), self.journal.objects)
        try:
            fresh.adopt(self.store.files)
            return self._checked(key, fresh, unmet, at_the_end=True, final=True)
        finally:
            fresh.close()

    def _checked(
        self,
        key: str,
        store: FileStore,
        unmet: CheckResult | None,
        *,
        at_the_end: bool,
        final: bool,
    ) -> Checked:
        known = {path for path, name in self._contents().items() if self.origin.get(path) == name}
        if unmet is None:
            found = evaluate(store, self.checks, at_the_end=at_the_end, known=known)
        else:
            found = CheckReport((unmet,))
        return self._as_checked(key, self.excused(found), final=final)

    def _as_checked(
        self, key: str, report: CheckReport, *, final: bool = False, baseline: bool = False
    ) -> Checked:
        text = json.dumps(asdict(report), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return Checked(
            key=key,
            verdict=report.verdict,
            summary=report.summary,
            report_object=self.journal.objects.put(text.encode("ascii")),
            final=final,
            baseline=baseline,
        )

    def _read(self, event: Checked) -> CheckReport:
        return _REPORT.validate_json(self.journal.objects.get(event.report_object))

    def _contents(self) -> Mapping[str, str]:
        """Give the store, path → object; nothing for a run without an input, which nobody compares it with."""
        return {entry.path: entry.digest for entry in self.store.files} if self.origin else {}


def _is_readme(path: str) -> bool:
    return "/" not in path and path.casefold().startswith("readme")
