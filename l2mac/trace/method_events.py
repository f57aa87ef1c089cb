"""What the trace records of methods that have no program of instructions (`l2mac.control.methods`): notes, all of them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStarted:
    """Note: a method without a plan begins a part of its work in a fresh context window; `number` counts from 1."""

    kind: Literal["part"] = "part"
    number: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEnded:
    """Note: such a part is over; nothing was checked.

    Attributes:
        said_so: Whether the model said that it was done; otherwise its window was full.
        tree: The hash of the store.
    """

    kind: Literal["part ended"] = "part ended"
    number: int
    claimed_done: bool
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateChosen:
    """Note: several candidates were run against the same tests, and one was kept.

    Attributes:
        passed: For each candidate, how many of the tests it passed.
        tests: How many tests there were.
        chosen: The kept one's number, from 1.
        agreeing: How many candidates passed exactly the same tests as that one, itself included.
    """

    kind: Literal["chosen"] = "chosen"
    passed: tuple[int, ...]
    tests: int
    chosen: int
    agreeing: int


Parts = PartStarted | PartEnded | CandidateChosen
