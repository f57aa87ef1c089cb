import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.safe_text import clean, one_line

ANYTHING = st.text(st.characters())


def dangerous(text: str) -> list[str]:
    """Name what a terminal would act upon or what would change the order of other characters."""
    controls = [
        one
        for one in text
        if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") and one not in "\n\t"
    ]
    turning = [
        one
        for one in text
        if unicodedata.bidirectional(one)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    return controls + turning


@given(text=ANYTHING)
def test_clean_text_has_no_terminal_control(text: str) -> None:
    assert dangerous(clean(text)) == []
    assert dangerous(one_line(text, 50)) == []


def test_every_single_character_is_harmless_afterwards() -> None:
    assert dangerous(clean("".join(map(chr, range(0x110000))))) == []


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil\x1b\\link",
        "\x1b]52;c;cm0gLXJm\x07",
        "\x9b31m",
        "\x9d0;title\x9c",
        "\x1bP+q\x1b\\",
        "\x1bc",
        "over\rwritten",
        "\x08\x08\x08",
        "\x7f",
        "\u202egnp.exe",
        "\u2066x\u2069",
        "\u200b\u00ad\ufeff",
        "\u2028\u2029",
        "\ud800",
        "\U000e0041",
    ],
)
def test_known_sequences_become_visible_text(sequence: str) -> None:
    cleaned = clean(sequence)
    assert re.search(r"\\(x|u|U|r)", cleaned)
    assert cleaned.encode("utf-8")


@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_ordinary_text_passes_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_line_ends_and_tabs_pass() -> None:
    assert clean("a\n\tb") == "a\n\tb"


@given(text=ANYTHING)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(text=ANYTHING, limit=st.integers(1, 80))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_truncated_lines_are_marked() -> None:
    assert one_line("a long sentence", 8) == "a long …"
    assert one_line("short", 5) == "short"
