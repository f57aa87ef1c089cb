"""What a requirements file may say to pip: names and versions."""

import pytest

from l2mac.evaluator.requirement_files import PackageRequirements, read_requirements

HASH = "--hash=sha256:" + "a" * 64


def read(text: str, *, hashed: bool = False, project: str = "") -> PackageRequirements:
    return read_requirements(
        {"requirements.txt": text.encode(), "pyproject.toml": project.encode()}, hashed=hashed
    )


@pytest.mark.parametrize(
    "line",
    [
        "attrs",
        "attrs>=23",
        "attrs == 23.1.0",
        "attrs>=23,<26",
        "Zope.Interface~=6.0",
        "requests[socks]>=2",
        "tomli>=2; python_version < '3.11'",
        f"attrs==23.1.0 {HASH} {HASH}",
    ],
)
def test_names_with_versions_are_taken(line: str) -> None:
    wanted = read(f"# comment\n\n{line}  # why\n")
    assert (wanted.lines, wanted.findings) == ((line,), ())
    assert wanted.places == ("requirements.txt:3",)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://evil.test/simple",
        "--extra-index-url=https://evil.test/simple",
        "-i https://evil.test/simple",
        "-r other.txt",
        "-e .",
        "./local",
        "/etc/passwd",
        "file:///etc/passwd",
        "https://evil.test/x-1.0-py3-none-any.whl",
        "attrs @ https://evil.test/attrs.whl",
        "git+https://evil.test/x.git",
        "attrs --config-settings=x=y",
        "attrs>=23 --index-url https://evil.test",
        "attrs $(id)",
        "${HOME}",
        "attrs==1 --hash=md5:aaaa",
        "-",
    ],
)
def test_other_pip_options_in_requirements_are_findings_at_their_line(line: str) -> None:
    wanted = read(f"attrs\n{line}\n")
    assert [finding.where for finding in wanted.findings] == ["requirements.txt:2"]


@pytest.mark.parametrize(
    "line", ["attrs", "attrs>=23", "attrs==23.*", "attrs==23.1.0", f"attrs>=23 {HASH}"]
)
def test_locked_takes_exact_versions_with_hashes_alone(line: str) -> None:
    assert read(line, hashed=True).findings
    assert not read(f"attrs==23.1.0 \\\n    {HASH} \\\n    {HASH}\n", hashed=True).findings


def test_locked_mode_requires_pins_for_project_dependencies() -> None:
    project = '[project]\nname = "x"\ndependencies = ["attrs>=23"]\n'
    assert read("", project=project).lines == ("attrs>=23",)
    assert read("", project=project, hashed=True).findings
    assert not read(f"Attrs==23.1.0 {HASH}", project=project, hashed=True).findings


@pytest.mark.parametrize(
    "project", ["[project", "[project]\ndependencies = 'x y'", "project = 3", "[" * 5000]
)
def test_a_project_file_of_any_shape_gives_findings_or_nothing(project: str) -> None:
    wanted = read("", project=project)
    assert not wanted.lines or wanted.findings


def test_files_that_are_too_large_are_findings() -> None:
    assert read("attrs\n" * 200).findings
    assert read("a" * 70_000).findings


def test_a_message_of_pips_is_brought_to_the_line_that_it_is_about() -> None:
    wanted = read("attrs\nno-such==1\n")
    assert wanted.place_of("No matching distribution found for no-such==1") == "requirements.txt:2"
    assert wanted.place_of("something else") == "requirements.txt"
