"""The packages that files of a store name: pip gets names and versions alone.

A requirements file can do much more for pip: name other indexes, local paths, addresses, further
files. None of that is passed on: a line that is not plainly a name with versions is a finding for
the model.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from l2mac.evaluator.verdict import Finding

FILES = ("requirements.txt", "pyproject.toml")
_MOST_BYTES = 64 * 1024
_MOST_REQUIREMENTS = 100
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSIONS = r"(?:~=|==|!=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME.pattern})(?:\[[A-Za-z0-9,._ -]*\])? ?"
    rf"(?P<versions>(?:{_VERSIONS}(?: ?, ?{_VERSIONS})*)?)"
    r"(?P<marker> ?;[A-Za-z0-9_.<>=!~'\" ()]+?)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})*)"
)
_PINNED = re.compile(r"== ?[A-Za-z0-9.+!_-]+")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PackageRequirements:
    """The packages to install.

    Attributes:
        lines: One requirement each, as pip gets it.
        places: Where each stands, as `path:line`.
        findings: The faults of the files; with any, nothing is installed.
    """

    lines: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def text(self) -> str:
        """The requirements file for pip."""
        return "".join(f"{line}\n" for line in self.lines)

    def place_of(self, message: str) -> str:
        """Return the place of the requirement that a message of pip is about, if any."""
        for line, place in zip(self.lines, self.places, strict=True):
            match = _NAME.match(line)
            if match and re.search(
                rf"(?<![\w-]){re.escape(match[0])}(?![\w-])", message, re.IGNORECASE
            ):
                return place
        return self.places[0].partition(":")[0] if self.places else ""


def read_requirements(files: Mapping[str, bytes], *, hashed: bool) -> PackageRequirements:
    """Read the requirement files of a store.

    Args:
        files: Contents of those of `FILES` that there are.
        hashed: Whether every requirement has to have one exact version and hashes.
    """
    lines, places, findings = [], [], []
    found = [
        *_from_text(files.get("requirements.txt", b"")),
        *_from_project(files.get("pyproject.toml", b"")),
    ]
    pinned = {
        name
        for place, line in found
        if place.startswith("requirements") and (name := _name_of(line))
    }
    for place, line in found:
        if hashed and place.startswith("pyproject") and _name_of(line) in pinned:
            continue
        problem = _problem(line, hashed=hashed)
        if problem:
            findings.append(Finding(place, f"{line[:200]!r} cannot be taken: {problem}"))
        lines.append(line)
        places.append(place)
    if len(lines) > _MOST_REQUIREMENTS:
        findings.append(
            Finding("", f"these are {len(lines)} requirements; {_MOST_REQUIREMENTS} are the most")
        )
    return PackageRequirements(tuple(lines), tuple(places), tuple(findings))


def _problem(line: str, *, hashed: bool) -> str:
    match = _REQUIREMENT.fullmatch(line)
    if match is None:
        return (
            "write a package's name and versions, such as 'attrs>=23'; options, paths and addresses"
            " are not accepted"
        )
    if hashed and not (
        _PINNED.fullmatch(match["versions"]) and "*" not in match["versions"] and match["hashes"]
    ):
        return (
            "write one exact version with its hashes, such as 'attrs==25.1.0 --hash=sha256:...', in"
            " requirements.txt"
        )
    return ""


def _from_text(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the lines of a requirements file and their places, joined if continued."""
    whole, start = "", 0
    text = _decoded(content)
    for number, line in enumerate([*text.splitlines(), ""], 1):
        start = start if whole else number
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        whole = f"{whole} {stripped.removesuffix(chr(92)).strip()}".strip()
        if whole and not stripped.endswith("\\"):
            yield f"requirements.txt:{start}", re.sub(r"\s+", " ", whole)
            whole = ""


def _from_project(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the entries of `[project.dependencies]`; one invalid line if unreadable."""
    try:
        project = tomllib.loads(_decoded(content)).get("project", {})
        named = project.get("dependencies", []) if isinstance(project, dict) else []
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        named = [f"(not TOML: {error})"]
    for entry in named if isinstance(named, list) else [named]:
        yield "pyproject.toml:dependencies", re.sub(r"\s+", " ", str(entry)).strip()


def _decoded(content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        return "(larger than 64 KiB)"
    return content.decode("utf-8", "backslashreplace")


def _name_of(line: str) -> str:
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""
