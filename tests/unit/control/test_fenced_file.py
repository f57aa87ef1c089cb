"""The file in a reply that was asked for one file."""

import pytest

from l2mac.control.guided.fenced_file import file_text


def test_the_first_fenced_block_is_the_file() -> None:
    reply = "Here it is:\n\n```python\nA = 1\n```\n\nUse it like this:\n\n```\nprint(A)\n```\n"
    assert file_text(reply, "a.py") == "A = 1\n"


def test_a_reply_without_a_fence_is_the_file() -> None:
    assert file_text("\n\nA = 1\n  \n", "a.py") == "A = 1\n"


def test_the_first_lines_indentation_is_kept() -> None:
    assert file_text("```\n\n    key: 1\n```", "a.yaml") == "    key: 1\n"


def test_a_block_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="not closed"):
        file_text("```python\nA = 1\n", "a.py")


@pytest.mark.parametrize("reply", ["", " \n\n", "```\n\n```"])
def test_a_reply_without_content_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match=r"no content for a\.py"):
        file_text(reply, "a.py")


def test_fences_of_a_text_belong_to_it() -> None:
    text = "# Use\n\n```python\nprint(1)\n```\n\nThat is all.\n"
    assert file_text(text, "README.md") == text


def test_a_fence_around_a_text_goes_up_to_the_last_one() -> None:
    text = "# Use\n\n```python\nprint(1)\n```\n\nThat is all.\n"
    assert file_text(f"```markdown\n{text}```\n", "README.md") == text


def test_a_longer_fence_is_closed_by_one_as_long() -> None:
    assert file_text('````python\nA = """\n```\n"""\n````', "a.py") == 'A = """\n```\n"""\n'


def test_line_ends_are_those_of_the_store() -> None:
    assert file_text("```\r\nA = 1\r\nB = 2\r\n```\r\n", "a.py") == "A = 1\nB = 2\n"
