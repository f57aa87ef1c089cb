import pytest

from l2mac.control.registry import Instruction, InstructionRegistry, check_program
from l2mac.errors import SettingsError


def test_instructions_come_one_by_one_numbered_from_one() -> None:
    registry = InstructionRegistry(("first", "second"))
    assert registry.current() == Instruction(1, "first", 2)
    registry.complete("")
    assert registry.current() == Instruction(2, "second", 2)
    registry.complete("")
    assert registry.current() is None


def test_looking_at_the_current_instruction_does_not_move_on() -> None:
    registry = InstructionRegistry(("first", "second"))
    assert registry.current() == registry.current()


def test_the_summary_goes_to_the_next_instruction_and_no_further() -> None:
    registry = InstructionRegistry(("first", "second"))
    assert registry.summary == ""
    registry.complete("one exists")
    assert registry.summary == "one exists"
    registry.complete("two exists")
    assert registry.summary == "two exists"


def test_empty_registry_has_no_current_instruction() -> None:
    registry = InstructionRegistry(())
    assert (registry.total, registry.current()) == (0, None)


def test_program_instructions_are_stripped() -> None:
    assert check_program([" a \n", "b"], at_most=2, field="f") == ("a", "b")


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([], "has no instruction"),
        (["a", "b", "c"], r"has 3 instructions\. At most 2"),
        (["a", " \n"], "instruction 2 is empty"),
        (["a", " a"], "instruction 2 is the same as instruction 1"),
    ],
)
def test_a_program_that_cannot_be_is_refused_with_its_field(texts: list[str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        check_program(texts, at_most=2, field="the plan")
    assert caught.value.field == "the plan"
