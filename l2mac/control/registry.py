"""The instruction registry: the prompt program, the cursor in it, and the summary carried from one to the next."""

from collections.abc import Iterable
from dataclasses import dataclass

from l2mac.errors import SettingsError

MAX_INSTRUCTIONS = 1000


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction I^(k) of the prompt program.

    Attributes:
        number: Its place, counted from 1; those that come after an insertion move.
        text: What is to be done.
        replans: How often what it is a part of has been replanned.
    """

    number: int
    text: str
    replans: int = 0


class InstructionRegistry:
    """The prompt program in execution.

    Attributes:
        summary: M_rs of the paper: what the last instruction left to say to the next.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._instructions = _numbered([Instruction(0, text) for text in texts])
        self._cursor = 0
        self.summary = ""

    @property
    def total(self) -> int:
        """How many instructions there are."""
        return len(self._instructions)

    @property
    def on_the_last(self) -> bool:
        """Whether no instruction stands behind the current one."""
        return self._cursor >= self.total - 1

    @property
    def done(self) -> int:
        """How many instructions are done."""
        return self._cursor

    def current(self) -> Instruction | None:
        """Give the instruction to execute, or None when all are done."""
        return self._instructions[self._cursor] if self._cursor < self.total else None

    def complete(self, summary: str) -> None:
        """Move on to the next instruction and hand `summary` to it."""
        self._cursor += 1
        self.summary = summary

    @property
    def texts(self) -> tuple[str, ...]:
        """All instructions, done and to come."""
        return tuple(instruction.text for instruction in self._instructions)

    def replace(self, texts: tuple[str, ...]) -> None:
        """Put several instructions in the place of the current one."""
        self._put(texts, keep_current=False)

    def insert(self, texts: tuple[str, ...]) -> None:
        """Put instructions before the current one."""
        self._put(texts, keep_current=True)

    def extend(self, texts: tuple[str, ...]) -> None:
        """Put instructions at the end."""
        self._instructions = _numbered(
            [*self._instructions, *(Instruction(0, text) for text in texts)]
        )

    def _put(self, texts: tuple[str, ...], *, keep_current: bool) -> None:
        current = self._instructions[self._cursor]
        replans = current.replans + 1
        new = [
            Instruction(0, text, replans)
            for text in (*texts, *((current.text,) if keep_current else ()))
        ]
        rest = self._instructions[self._cursor + 1 :]
        self._instructions = _numbered([*self._instructions[: self._cursor], *new, *rest])


def _numbered(instructions: list[Instruction]) -> tuple[Instruction, ...]:
    return tuple(
        Instruction(number, one.text, one.replans) for number, one in enumerate(instructions, 1)
    )


def normal_form(text: str) -> str:
    """Give a text without what makes no difference: case, white space, punctuation at its ends."""
    return " ".join(text.casefold().split()).strip(".,;:!?-* ")


def numbered_list(texts: Iterable[str]) -> str:
    """Give texts as a numbered list, for a prompt."""
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def check_program(texts: list[str], *, at_most: int, field: str) -> tuple[str, ...]:
    """Give the program's instructions after checking them.

    Raises:
        SettingsError: There is none, there are too many, or one is empty or stands twice.
    """
    cleaned = tuple(text.strip() for text in texts)
    if not cleaned:
        raise SettingsError(field, "the program has no instruction; give at least one")
    if len(cleaned) > at_most:
        raise SettingsError(
            field, f"the program has {len(cleaned)} instructions; at most {at_most} are allowed"
        )
    for number, text in enumerate(cleaned, 1):
        if not text:
            raise SettingsError(field, f"instruction {number} is empty")
        if text in cleaned[: number - 1]:
            raise SettingsError(
                field, f"instruction {number} is the same as instruction {cleaned.index(text) + 1}"
            )
    return cleaned
