"""Domains as data: shipped domains, users' files, and errors with their place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from l2mac.domains.loader import (
    DOMAINS,
    Domain,
    load_domain,
    load_domain_file,
    recorded_domain,
    with_tools,
)
from l2mac.domains.prompt_set import KINDS
from l2mac.errors import SettingsError

ROOT = Path(__file__).resolve().parents[3]
COMMAND = '[[commands]]\nname = "x"\nargv = ["true"]\n'


Load = Callable[[str | bytes], Domain]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str | bytes) -> Domain:
        path = tmp_path / "my.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_domain_file(path)

    return load


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples/domains").glob("*.toml")), ids=lambda path: path.name
)
def test_the_examples_load(path: Path) -> None:
    assert load_domain_file(path).name == path.stem


@pytest.mark.parametrize("name", DOMAINS)
def test_a_domain_survives_its_record_and_its_export(name: str, load: Load) -> None:
    domain = load_domain(name)
    assert recorded_domain(domain.definition.as_text()).definition == domain.definition
    copied = load(domain.definition.as_toml("copy", extends="codebase"))
    for kind in KINDS:
        values = {placeholder: f"<{placeholder}>" for placeholder in KINDS[kind]}
        assert copied.prompts.render(kind, **values) == domain.prompts.render(kind, **values)
    assert copied.toolbelt.specs == domain.toolbelt.specs
    assert (copied.definition.checks, copied.definition.judge) == (
        domain.definition.checks,
        domain.definition.judge,
    )


def test_a_small_file_takes_the_rest_over(load: Load) -> None:
    domain = load(
        'name = "poems"\nextends = "book"\n[prompts]\ntruncated = "At most $limit { } % tokens, '
        'for $$5."\n'
    )
    assert domain.prompts.render("truncated", limit=7) == "At most 7 { } % tokens, for $5."
    assert domain.prompts.render("system") == load_domain("book").prompts.render("system")
    assert domain.toolbelt.specs == load_domain("book").toolbelt.specs
    assert domain.checks.jobs == {"prose"}


def test_commands_come_on_top_of_the_checks_of_the_extended_domain(load: Load) -> None:
    domain = load(f'name = "x"\n{COMMAND}files = ["*.md"]\n')
    assert domain.checks.jobs == {"lint", "tests", "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'x'\nname = 'y'\n", r"my\.toml is not valid TOML: .*line 2"),
        ("name = 'x'\ntools = [\n", r"my\.toml is not valid TOML: .*end of document"),
        (b"name = '\xff'", r"my\.toml is not readable as UTF-8"),
        ("tools = ['files']", r"my\.toml: name is missing\. Add it"),
        ("name = 'A B'", r"name \(line 1\) must be a name in lower case"),
        (
            "name = 'x'\n\nsurprise = 1",
            r"surprise \(line 3\) is not a field\. The fields here are: name, extends",
        ),
        (
            "name = 'x'\nextends = 'opera'",
            r"extends \(line 2\) names 'opera', .* domain\. The domains are: codebase, book",
        ),
        (
            "name = 'x'\ntools = 'files'",
            r"tools \(line 2\) is invalid: input should be a valid list",
        ),
        (
            "name = 'x'\ntools = ['files', 'shell']",
            r"tools\[2\] \(line 2\) names 'shell', which is not a tool\. The tools are: files",
        ),
        (
            "name = 'x'\ntools = ['files', 'edit_file']",
            r"tools\[2\] \(line 2\) names edit_file twice",
        ),
        (
            "name = 'x'\ntools = ['files', 'submit_plan']",
            r"tools\[2\] \(line 2\) names submit_plan, which is always",
        ),
        (
            "name = 'x'\ntools = ['view_files']",
            r"tools \(line 2\) must include a tool that writes files",
        ),
        (
            "name = 'x'\nchecks = ['spelling']",
            r"checks\[1\] \(line 2\) names 'spelling', which is not a check",
        ),
        ("name = 'x'\nchecks = ['book', 'book']", r"checks\[2\] \(line 2\) names book twice"),
        (
            "name = 'x'\nchecks = []",
            r"checks \(line 2\) must not be empty, or every result would pass",
        ),
        (
            f"name = 'x'\n{COMMAND}shell = 'true'",
            r"commands\[1\]\.shell \(line 5\) is not a field\. .*argv",
        ),
        (
            "name = 'x'\n[[commands]]\nname = 'y'\nargv = 'true && true'",
            r"commands\[1\]\.argv \(line 4\) .*valid list",
        ),
        ("name = 'x'\n[[commands]]\nname = 'y'\nargv = []", r"commands\[1\]\.argv \(line 4\) "),
        (
            "name = 'x'\n[[commands]]\nname = 'y'\nargv = [\"a\\u0000b\"]",
            r"commands\[1\]\.argv \(line 4\) holds a NUL",
        ),
        (
            "name = 'x'\n[[commands]]\nname = 'tests'\nargv = ['a']",
            r"commands\[1\]\.name \(line 3\) is 'tests', the name",
        ),
        (
            f"name = 'x'\n{COMMAND}{COMMAND}",
            r"commands\[2\]\.name \(line 6\) is 'x', the name of another check",
        ),
        (
            f"name = 'x'\n{COMMAND}exit_codes = [true]",
            r"commands\[1\]\.exit_codes\[1\] \(line 5\) ",
        ),
        (f"name = 'x'\n{COMMAND}exit_codes = [127]", r"commands\[1\]\.exit_codes\[1\] \(line 5\) "),
        ("name = 'x'\n[judge]\nfiles = []", r"judge\.files \(line 3\) "),
        ("name = 'x'\n[prompts]\nsystem = 5", r"prompts\.system \(line 3\) "),
        (
            "name = 'x'\n[prompts]\nsistem = 'x'",
            r"prompts\.sistem \(line 3\) is not a kind of prompt\. The kinds are",
        ),
        ("name = 'x'\n[prompts]\nsystem = ' '", r"prompts\.system \(line 3\) is empty"),
        (
            "name = 'x'\n[prompts]\nsystem = 'cost: $5'",
            r"prompts\.system \(line 3\) has a '\$' without a name at line 1, column 7",
        ),
        (
            "name = 'x'\n[prompts]\ntruncated = '{limit}'",
            r"prompts\.truncated \(line 3\) does not use \$limit",
        ),
        (
            "name = 'x'\n[prompts]\ntruncated = '''\nAt most\n  $limits of $limit\n'''",
            (
                r"prompts\.truncated \(line 5\) has an unknown \$limits at line 2, column 3\. "
                r"Known are: \$limit"
            ),
        ),
        (
            "name = 'x'\n[prompts]\nsystem = '''\n[judge]\nfiles = 1\n'''\n[judge]\nfiles = 1",
            r"judge\.files \(line 8\)",
        ),
    ],
)
def test_every_mistake_is_refused_with_its_place(load: Load, text: str | bytes, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(text)


def test_more_commands_than_can_run_at_once_are_refused(load: Load) -> None:
    commands = "".join(COMMAND.replace('"x"', f'"x{number}"') for number in range(7))
    with pytest.raises(SettingsError, match="9 jobs, at most 8"):
        load(f"name = 'x'\n{commands}")


def test_a_missing_or_huge_file_is_refused(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml is not readable"):
        load_domain_file(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="larger than"):
        load(b"#" * (1 << 20) + b"\n")


def test_a_recorded_domain_keeps_its_own_prompts_and_needs_every_kind() -> None:
    definition = load_domain("book").definition
    other = definition.as_text().replace('"judge": "A book', '"judge": "Another book')
    assert recorded_domain(other).definition.prompts["judge"].startswith("Another book")
    content = json.loads(definition.as_text())
    del content["prompts"]["judge"]
    with pytest.raises(SettingsError, match="The prompt 'judge' is missing"):
        recorded_domain(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x", "prompts": {}, "surprise": 1}'])
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="Use the version of l2mac that recorded it"):
        recorded_domain(text)


def test_tools_can_be_narrowed_by_name_or_by_their_old_names() -> None:
    domain = with_tools(load_domain("codebase"), "write_files, pytest_files,submit_plan")
    assert [spec.name for spec in domain.toolbelt.specs] == ["write_files", "run_tests"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("shell", "names 'shell', which is not a tool"),
        ("view_files", "must include a tool that writes files"),
    ],
)
def test_tools_that_are_not_there_or_write_nothing_are_refused(names: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"--tools {said}"):
        with_tools(load_domain("book"), names)
