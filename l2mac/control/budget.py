"""The bounds of a run, its spending, and the errors of an exhausted budget."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from l2mac.trace.events import InstructionAborted, ModelCalled
from l2mac.trace.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a run; None means no bound.

    `restarts` is r_max of the paper (30): how often one instruction may run out of context. `turns`
    bounds a model that goes on without ever filling its window, which the paper leaves open. `ends`
    is for a replay: after how many model calls the recorded session's own bound on an instruction
    was reached, with the cause.
    """

    turns: int | None = None
    restarts: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    time_s: float | None = None
    ends: Mapping[int, str] = field(default_factory=dict)


class BudgetExhausted(Exception):
    """A bound is reached; `cause` names it in one sentence."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class InstructionExhausted(BudgetExhausted):
    """The bound of one instruction is reached.

    The instruction may be replanned instead of ending the run.
    """


@dataclass(slots=True)
class Spending:
    """The tokens, cost, turns and restarts so far, and their limits."""

    limits: Limits
    turns: int = field(default=0, init=False)
    restarts: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)
    prompt_tokens: int = field(default=0, init=False)
    completion_tokens: int = field(default=0, init=False)
    cost_usd: float = field(default=0.0, init=False)

    def start_instruction(self) -> None:
        """Count turns and restarts from zero."""
        self.turns = self.restarts = 0

    def count_turn(self) -> None:
        """Count a turn of the current instruction."""
        self.turns += 1

    def count_restart(self) -> None:
        """Count a restart of the current instruction."""
        self.restarts += 1

    def check(self, elapsed_s: float) -> None:
        """Check that another call of the model is within the run's limits.

        Raises:
            BudgetExhausted: A limit is reached.
        """
        limits = self.limits
        if (
            limits.tokens is not None
            and self.prompt_tokens + self.completion_tokens >= limits.tokens
        ):
            raise BudgetExhausted(f"{limits.tokens} tokens are spent (--max-tokens)")
        if limits.cost_usd is not None and self.cost_usd >= limits.cost_usd:
            raise BudgetExhausted(f"{limits.cost_usd:g} USD are spent (--max-cost)")
        if limits.time_s is not None and elapsed_s >= limits.time_s:
            raise BudgetExhausted(f"{limits.time_s:g} seconds of work are over (--max-time)")

    def time_left_s(self, elapsed_s: float) -> float | None:
        """Return how long a call of the model may take; None for no bound."""
        return None if self.limits.time_s is None else max(self.limits.time_s - elapsed_s, 0.0)

    def out_of_time(self) -> BudgetExhausted:
        """Return the error for a call of the model in whose middle the time is over."""
        return BudgetExhausted(
            f"{self.limits.time_s or 0:g} seconds of work are over (--max-time), which ended a call"
            " of the model; what that had taken is not in the count of tokens"
        )

    def check_instruction(self) -> None:
        """Check that the turn that was counted last is within the instruction's limits.

        Raises:
            InstructionExhausted: The turn exceeds a limit.
        """
        limits = self.limits
        if self.calls in limits.ends:
            raise InstructionExhausted(limits.ends[self.calls])
        if limits.restarts is not None and self.restarts > limits.restarts:
            raise InstructionExhausted(
                f"an instruction ran out of context {self.restarts} times, with {limits.restarts}"
                " restarts allowed (--max-restarts)"
            )
        if limits.turns is not None and self.turns > limits.turns:
            raise InstructionExhausted(
                f"an instruction took {limits.turns} turns without being done (--max-turns)"
            )

    def add(self, call: ModelCalled) -> None:
        """Count a call of the model; a reply from the cache has cost nothing."""
        self.calls += 1
        if call.cached:
            return
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.cost_usd += call.cost_usd


class TurnBudget:
    """The count of the current instruction's turns and restarts.

    Args:
        spending: The counts and their bounds.
        journal: Records where a bound was reached.
    """

    def __init__(self, spending: Spending, journal: Journal) -> None:
        self._spending = spending
        self._journal = journal

    def start_instruction(self) -> None:
        """Count turns and restarts from zero."""
        self._spending.start_instruction()

    def begin_turn(self) -> None:
        """Count a turn.

        Raises:
            InstructionExhausted: The turn is one too many, by this session's bounds or, before the
                end of the trace, by the recorded session's.
        """
        self._spending.count_turn()
        if not self._journal.replaying:
            self._spending.check_instruction()
        elif (aborted := self._journal.peek(InstructionAborted)) is not None:
            raise InstructionExhausted(aborted.cause)

    def count_restart(self) -> None:
        """Count a restart."""
        self._spending.count_restart()

    def abort(self, number: int, cause: str) -> None:
        """Record an exhausted instruction, so that a session with larger bounds agrees."""
        key = f"{number} {self._spending.turns} {self._spending.restarts}"
        event = InstructionAborted(key=key, number=number, cause=cause)
        self._journal.effect(InstructionAborted, key, lambda: event)
