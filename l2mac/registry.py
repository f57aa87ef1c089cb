"""The instruction registry: the prompt program, the cursor in it, and the summary carried from one to the next."""

from dataclasses import dataclass

from l2mac.errors import SettingsError

MAX_INSTRUCTIONS = 1000


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction I^(k) of the prompt program; `number` counts from 1."""

    number: int
    text: str


class InstructionRegistry:
    """The prompt program in execution.

    Attributes:
        summary: M_rs of the paper: what the last instruction left to say to the next.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._instructions = tuple(Instruction(number, text) for number, text in enumerate(texts, 1))
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

    def current(self) -> Instruction | None:
        """Give the instruction to execute, or None when all are done."""
        return self._instructions[self._cursor] if self._cursor < self.total else None

    def complete(self, summary: str) -> None:
        """Move on to the next instruction and hand `summary` to it."""
        self._cursor += 1
        self.summary = summary


def check_program(texts: list[str], *, at_most: int, field: str) -> tuple[str, ...]:
    """Give the program's instructions after checking them.

    Raises:
        SettingsError: There is none, there are too many, or one is empty or stands twice.
    """
    cleaned = tuple(text.strip() for text in texts)
    if not cleaned:
        raise SettingsError(field, "the program has no instruction; give at least one")
    if len(cleaned) > at_most:
        raise SettingsError(field, f"the program has {len(cleaned)} instructions; at most {at_most} are allowed")
    for number, text in enumerate(cleaned, 1):
        if not text:
            raise SettingsError(field, f"instruction {number} is empty")
        if text in cleaned[: number - 1]:
            raise SettingsError(field, f"instruction {number} is the same as instruction {cleaned.index(text) + 1}")
    return cleaned
