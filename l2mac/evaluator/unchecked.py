"""The ablation `--no-evaluator`: only the result is verified."""

from l2mac.evaluator.evaluator import Evaluator
from l2mac.evaluator.verdict import CheckReport


class UncheckedEvaluator:
    """An evaluator that accepts work without checks, and verifies the result.

    Args:
        evaluator: Evaluates the input and verifies the result.
    """

    remark = "the work was done without checks (--no-evaluator)"
    checks_work = False
    summary = "nothing is checked in this run"

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._tree = ""

    @property
    def report(self) -> CheckReport:
        """The newest verdict that there is: on the input or on the result."""
        return self._evaluator.report

    @property
    def input_report(self) -> CheckReport:
        """The checks' result on the unchanged input."""
        return self._evaluator.input_report

    @property
    def is_outdated(self) -> bool:
        """Whether the store has changed since a check would have taken place."""
        return self._evaluator.tree != self._tree

    def start(self) -> CheckReport:
        """Evaluate the unchanged input, for a comparison with the final verification."""
        report = self._evaluator.start()
        if not self._evaluator.is_outdated:
            self._tree = self._evaluator.tree
        return report

    def check(self, *, whole: bool) -> CheckReport:  # noqa: ARG002 - as `Evaluator.check`
        """Return an empty report, which accepts every claim."""
        self._tree = self._evaluator.tree
        return CheckReport()

    def verify(self) -> CheckReport:
        """Return the verdict on the recorded files in a fresh sandbox."""
        return self._evaluator.verify()

    def findings(self, limit: int) -> str:  # noqa: ARG002 - as `Evaluator.findings`
        """Return that nothing is checked, as text for the model."""
        return self.summary
