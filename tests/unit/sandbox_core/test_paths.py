"""Names of the store: what is accepted stays below the root on every system."""

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import PathError, check_path
from sandbox.paths import MAX_COMPONENT_BYTES, MAX_DEPTH, MAX_PATH_BYTES

PIECES = st.sampled_from(
    [
        "a",
        "..",
        ".",
        "",
        "/",
        "\\",
        "~",
        "-x",
        "é",
        "e\u0301",
        "\0",
        "\n",
        "con",
        ".l2mac-",
        "x" * 150,
        " ",
    ]
)
TEXTS = (
    st.text(max_size=60)
    | st.lists(PIECES, max_size=8).map("/".join)
    | st.lists(PIECES, max_size=8).map("".join)
)


def accepted(text: str) -> bool:
    try:
        check_path(text)
    except PathError:
        return False
    return True


@given(TEXTS)
def test_accepted_path_is_normal_and_stays_below_the_root(text: str) -> None:
    if accepted(text):
        assert posixpath.normpath(posixpath.join("/root", text)) == f"/root/{text}"
        assert not text.startswith(("/", "-", "~"))
        assert "\\" not in text
        assert "\0" not in text
        assert unicodedata.normalize("NFC", text) == text
        assert len(text.encode()) <= MAX_PATH_BYTES


@given(st.text())
def test_accepted_path_is_printable(text: str) -> None:
    if accepted(text):
        assert all(unicodedata.category(character)[0] != "C" for character in text)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a/b.py",
        ".hidden",
        "..a",
        "a b",
        "ünï/日本.py",
        "x" * MAX_COMPONENT_BYTES,
        "/".join(["d"] * MAX_DEPTH),
        "icon",
    ],
)
def test_ordinary_names_are_accepted(name: str) -> None:
    assert check_path(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "./a",
            "~/a",
            "-a",
            "a/-b",
            " a",
            "a ",
            "a.",
        ),
        *(
            "a\\b",
            "a:b",
            "a*",
            "a?",
            'a"',
            "<a",
            "a>",
            "a|b",
            "a\0b",
            "a\tb",
            "a\x7fb",
            "a\u200bb",
            "a\u202eb",
        ),
        *(
            "\ud800",
            "e\u0301",
            "con",
            "CON",
            "con.txt",
            "aux.tar.gz",
            "nul ",
            "lpt1",
            "Com9.py",
            "d/prn/x",
        ),
        *(
            "x" * (MAX_COMPONENT_BYTES + 1),
            "/".join(["d"] * (MAX_DEPTH + 1)),
            ".l2mac-1.part",
            "a/.l2mac-x",
        ),
    ],
)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(PathError):
        check_path(name)


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"], {}])
def test_paths_other_than_text_are_refused(value: object) -> None:
    with pytest.raises(PathError):
        check_path(value)


def test_refusal_shows_the_path_without_terminal_controls() -> None:
    with pytest.raises(PathError) as error:
        check_path("a\x1b[31m\n")
    assert str(error.value).isprintable()
