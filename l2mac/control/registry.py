"""The instruction registry: the prompt program, its cursor, and the summary."""

from collections.abc import Iterable
from dataclasses import dataclass

from l2mac.errors import SettingsError

MAX_INSTRUCTIONS = 1000


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction I^(k) of the prompt program.

    Attributes:
        number: Its place, counted from 1; those that come after an insertion move.
        text: The work to do.
        total: The number of all instructions.
        replans: How often the instruction that it is a part of has been replanned.
    """

    number: int
    text: str
    total: int
    replans: int = 0

    @property
    def is_last(self) -> bool:
        """Whether no instruction follows."""
        return self.number == self.total


class InstructionRegistry:
    """The prompt program in execution.

    Attributes:
        summary: M_rs of the paper: the last instruction's message to the next one.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._instructions = _numbered([(text, 0) for text in texts])
        self._cursor = 0
        self.summary = ""

    @property
    def total(self) -> int:
        """The number of instructions."""
        return len(self._instructions)

    @property
    def done(self) -> int:
        """The number of instructions that are done."""
        return self._cursor

    @property
    def texts(self) -> tuple[str, ...]:
        """All instructions, done and to come."""
        return tuple(instruction.text for instruction in self._instructions)

    def current(self) -> Instruction | None:
        """Return the instruction to execute, or None when all are done."""
        return self._instructions[self._cursor] if self._cursor < self.total else None

    def complete(self, summary: str) -> None:
        """Move on to the next instruction and hand `summary` to it."""
        self._cursor += 1
        self.summary = summary

    def replace(self, texts: tuple[str, ...]) -> None:
        """Put several instructions in the place of the current one."""
        self._put(texts, keep_current=False)

    def insert(self, texts: tuple[str, ...]) -> None:
        """Put instructions before the current one."""
        self._put(texts, keep_current=True)

    def extend(self, texts: tuple[str, ...]) -> None:
        """Put instructions at the end."""
        self._instructions = _numbered([*self._as_pairs(), *((text, 0) for text in texts)])

    def _put(self, texts: tuple[str, ...], *, keep_current: bool) -> None:
        current = self._instructions[self._cursor]
        kept = (current.text,) if keep_current else ()
        new = [(text, current.replans + 1) for text in (*texts, *kept)]
        pairs = self._as_pairs()
        pairs[self._cursor : self._cursor + 1] = new
        self._instructions = _numbered(pairs)

    def _as_pairs(self) -> list[tuple[str, int]]:
        return [(instruction.text, instruction.replans) for instruction in self._instructions]


def _numbered(pairs: list[tuple[str, int]]) -> tuple[Instruction, ...]:
    total = len(pairs)
    numbered = enumerate(pairs, 1)
    return tuple(Instruction(number, text, total, replans) for number, (text, replans) in numbered)


def normal_form(text: str) -> str:
    """Return a text without its case, white space and punctuation at its ends."""
    return " ".join(text.casefold().split()).strip(".,;:!?-* ")


def numbered_list(texts: Iterable[str]) -> str:
    """Return texts as a numbered list, for a prompt."""
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def check_program(texts: list[str], *, at_most: int, field: str) -> tuple[str, ...]:
    """Return the program's instructions after checking them.

    Raises:
        SettingsError: The program has no or too many instructions, or one is empty or a repetition.
    """
    cleaned = tuple(text.strip() for text in texts)
    if not cleaned:
        raise SettingsError(field, "the program has no instruction. Write at least one.")
    if len(cleaned) > at_most:
        raise SettingsError(
            field, f"the program has {len(cleaned)} instructions. At most {at_most} are allowed."
        )
    for number, text in enumerate(cleaned, 1):
        if not text:
            raise SettingsError(field, f"instruction {number} is empty")
        if text in cleaned[: number - 1]:
            raise SettingsError(
                field, f"instruction {number} is the same as instruction {cleaned.index(text) + 1}"
            )
    return cleaned
