from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import SettingsError
from l2mac.runs.program_file import given_program, load_program

STEPS = ("Write the parser.", "Write the printer,\nwith tests.")


def program(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    )
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.yaml", "- Write the parser.\n- |\n  Write the printer,\n  with tests.\n"),
        ("p.yml", "steps:\n- Write the parser.\n- |\n  Write the printer,\n  with tests.\n"),
        ("P.YAML", '["Write the parser.", "Write the printer,\\nwith tests."]'),
        ("p.json", '["Write the parser.", "Write the printer,\\nwith tests."]'),
        ("p.json", '{"steps": ["Write the parser.", "Write the printer,\\nwith tests."]}'),
        ("p.txt", "Write the parser.\n\nWrite the printer,\nwith tests.\n"),
        ("p", "\n\nWrite the parser.\n \t \n\nWrite the printer,\nwith tests."),
        ("p.txt", "Write the parser.\r\n\r\nWrite the printer,\r\nwith tests.\r\n"),
        ("p.txt", b"\xef\xbb\xbfWrite the parser.\n\nWrite the printer,\nwith tests."),
        ("p.yaml", b"\xef\xbb\xbf- Write the parser.\n- |\n  Write the printer,\n  with tests.\n"),
    ],
)
def test_each_format_gives_the_same_instructions(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    assert load_program(program(tmp_path, name, content)) == STEPS


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("p.txt", "", "has no instruction"),
        ("p.txt", " \n\n \n", "has no instruction"),
        ("p.txt", "a\n\na", "instruction 2 is the same as instruction 1"),
        ("p.txt", b"\xff\xfe\x00", "cannot be read"),
        ("p.txt", "x" * (4 * 1024 * 1024 + 1), "is larger than"),
        ("p.txt", "\n\n".join(map(str, range(1001))), "has 1001 instructions\\. At most 1000"),
        ("p.yaml", "", "must be a list"),
        ("p.yaml", "just text", "must be a list"),
        ("p.yaml", "tasks: [a]", "must be a list"),
        ("p.yaml", "steps: a", "must be a list"),
        ("p.yaml", "[]", "has no instruction"),
        ("p.yaml", "- a\n- ", "an invalid instruction 2: NoneType"),
        ("p.yaml", "- a\n- 3", "an invalid instruction 2: int"),
        ("p.yaml", "- a\n- [b]", "an invalid instruction 2: list"),
        ("p.yaml", "- a: b", "an invalid instruction 1: dict"),
        ("p.yaml", "- a\n- ' '", "instruction 2 is empty"),
        ("p.yaml", "- [a", "is not valid"),
        ("p.yaml", "- 2026-13-45", "is not valid"),
        ("p.yaml", "- !!int ''", "is not valid"),
        ("p.yaml", "- !!bool x", "is not valid"),
        ("p.yaml", "- !!timestamp x", "is not valid"),
        ("p.yaml", "- !!python/object/apply:os.system ['true']", "is not valid"),
        ("p.yaml", "[" * 1000, "is not valid"),
        ("p.json", '["a"', "is not valid"),
    ],
)
def test_a_broken_file_is_refused_by_its_name(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    path = program(tmp_path, name, content)
    with pytest.raises(SettingsError, match=problem) as caught:
        load_program(path)
    assert caught.value.field == f"--program {path}"
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--program .*none\.yaml"):
        load_program(tmp_path / "none.yaml")


def test_a_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_program(tmp_path)


@pytest.mark.parametrize(
    "given_text", ['["one", "two"]', ' ["one",\n"two"] ', '["\\u006fne", " two "]']
)
def test_a_list_on_the_command_line_gives_its_instructions(given_text: str) -> None:
    assert given_program(given_text) == ("one", "two")


def test_program_option_without_a_list_is_a_file_path(tmp_path: Path) -> None:
    assert given_program(str(program(tmp_path, "p.txt", "one\n\ntwo"))) == ("one", "two")
    with pytest.raises(SettingsError, match=r"--program none\.yaml cannot be read"):
        given_program("none.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty. Name a file or give a JSON list"),
        (" ", "is empty"),
        ("[]", "has no instruction"),
        ("['one', 'two']", "Put each instruction in double quotes"),
        ('["one", "two"', "is not a valid JSON list"),
        ('["one"] x', "is not a valid JSON list"),
        ("[draft].txt", "or write ./ before the name of a file"),
        ("[" * 100_000, "is not a valid JSON list"),
        ('["one", 2]', "an invalid instruction 2: int, not text"),
        ('["one", ["two"]]', "an invalid instruction 2: list"),
        ('["one", "one"]', "the same as instruction 1"),
        ('["one", " "]', "instruction 2 is empty"),
        ('[__import__("os").system("true")]', "is not a valid JSON list"),
        (f'["{"x" * (4 * 1024 * 1024)}"]', "is longer than"),
    ],
)
def test_broken_program_list_is_one_sentence_and_never_evaluated(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        given_program(text)
    assert caught.value.field == "--program"
    assert "\n" not in str(caught.value)


@given(content=st.text(st.characters(codec="utf-8")), ending=st.sampled_from([".yaml", ".txt"]))
def test_any_program_file_yields_instructions_or_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, content: str, ending: str
) -> None:
    path = program(tmp_path_factory.mktemp("p"), f"p{ending}", content)
    try:
        instructions = load_program(path)
    except SettingsError:
        instructions = ("refused",)
    assert all(text == text.strip() != "" for text in instructions)
