"""Export of a run's files: regular files only, from the trace, to a new folder.

No sandbox is read for an export. Names that act on a host by themselves, as soon as a folder is
opened, entered or checked out, are quarantined and reported. The user decides about these files.
"""

import json
import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import SettingsError, reason_of
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.host_folder import HostFolder, UnsafePath
from sandbox import PathError, check_path, format_size

MANIFEST = ".l2mac-manifest.json"

_ACTING_FOLDERS = frozenset(
    ".git .hg .svn .vscode .idea .devcontainer .claude .cursor .codex .gemini .github .gitlab"
    " .circleci .husky .cargo .bundle .zed .fleet .vs .direnv .mise .terraform .windsurf .continue"
    " .roo .kiro .amazonq .junie .ctags.d".split()
)
_ACTING_NAMES = frozenset(
    ".gitattributes .gitmodules .gitconfig .envrc .env .mcp.json claude.md agents.md gemini.md"
    " .cursorrules .windsurfrules .clinerules .aider.conf.yml .pre-commit-config.yaml"
    " .gitlab-ci.yml .travis.yml jenkinsfile .tool-versions .mise.toml mise.toml .bashrc"
    " .bash_profile .profile .zshrc .zshenv .zprofile .inputrc .npmrc .yarnrc .yarnrc.yml .pypirc"
    " pip.conf .netrc .ripgreprc .lesskey .vimrc .exrc .nvimrc .nvim.lua .dir-locals.el"
    " .editorconfig .python-version sitecustomize.py usercustomize.py desktop.ini autorun.inf"
    " .ds_store .devcontainer.json .gdbinit .lldbinit .roorules .roomodes .pdbrc .rprofile"
    " .renviron .irbrc .pryrc .byebugrc .rvmrc .ctags .lvimrc .local.vimrc .flaskenv .bazelrc"
    " .hgrc .autoenv .autoenv.zsh".split()
)
_BARE = frozenset({"head", "config"})
_ACTING_ENDINGS = (".pth", ".desktop", ".code-workspace", ".sublime-project", ".lnk", ".url")
_SHORT = re.compile(r"[^.]{1,6}~\d+(\.[^.]{0,3})?")
_MOST_FILES = 20_000
_MOST_BYTES = 1024**3
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Export:
    """The result of an export: folder, files, and quarantined paths (→ reason)."""

    folder: Path
    written: tuple[str, ...]
    quarantined: Mapping[str, str]


def sort_out(files: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split files (path → object) into written and quarantined ones (→ reason).

    No two written paths are the same on a file system that ignores upper and lower case.
    """
    writable: dict[str, str] = {}
    quarantined: dict[str, str] = {}
    taken: dict[str, str] = {}
    folders: dict[str, str] = {}
    repositories = _bare_repositories(files)
    for path, name in sorted(files.items()):
        folded = _folded(path)
        above = [folded[:index] for index, character in enumerate(folded) if character == "/"]
        blocking = next((taken[folder] for folder in above if folder in taken), None)
        twin = taken.get(folded) or blocking or folders.get(folded)
        reason = _reason_against(path, folded, repositories)
        if not reason and twin:
            reason = f"differs from {twin} only in letter case, which some systems ignore"
        if reason:
            quarantined[path] = reason
        else:
            writable[path] = name
            taken[folded] = path
            folders.update(dict.fromkeys(above, path))
    return writable, quarantined


def export(files: Mapping[str, str], objects: ObjectStore, folder: Path) -> Export:
    """Write a run's files into a new folder, which appears completely or not at all.

    Args:
        files: Path → object.
        objects: Store of the contents.
        folder: Must not exist; its parent is made.

    Raises:
        SettingsError: The folder exists or cannot be made.
        TraceError: An object is missing or altered.
    """
    writable, quarantined = sort_out(files)
    check_new_folder(folder, "--output")
    contents = read_whole(writable, objects)
    contents[MANIFEST] = manifest_of(writable, quarantined)
    _write_folder(folder, contents, "--output")
    return Export(folder, tuple(writable), quarantined)


def read_whole(files: Mapping[str, str], objects: ObjectStore) -> dict[str, bytes]:
    """Return the contents of files (path → object), counted as they are read.

    Raises:
        SettingsError: The files are too many or too large for an export.
        TraceError: An object is missing or altered.
    """
    if len(files) > _MOST_FILES:
        problem = f"--output cannot take {len(files)} files. The limit is {_MOST_FILES} files."
        raise SettingsError("--output", problem)
    contents: dict[str, bytes] = {}
    left = _MOST_BYTES
    for path, name in files.items():
        contents[path] = objects.get(name)
        left -= len(contents[path])
        if left < 0:
            problem = f"--output cannot take more than {format_size(_MOST_BYTES)} of files."
            raise SettingsError("--output", problem)
    return contents


def quarantine(
    files: Mapping[str, str], quarantined: Mapping[str, str], objects: ObjectStore, folder: Path
) -> Path:
    """Write quarantined files into a new folder, under harmless numbers.

    Args:
        files: Path → object, of all files of the run.
        quarantined: Path → reason.
        objects: Store of the contents.
        folder: Must not exist; its `index.json` maps each number to path and reason.

    Raises:
        SettingsError: The folder exists or cannot be made.
        TraceError: An object is missing or altered.
    """
    numbers = {path: f"{number:05}.txt" for number, path in enumerate(quarantined, 1)}
    index = [
        {"file": numbers[path], "path": path, "sha256": files[path], "reason": reason}
        for path, reason in quarantined.items()
    ]
    contents = read_whole({path: files[path] for path in quarantined}, objects)
    named = {numbers[path]: content for path, content in contents.items()}
    named["index.json"] = json.dumps(index, indent=1).encode() + b"\n"
    _write_folder(folder, named, "--quarantine")
    return folder


def check_new_folder(folder: Path, flag: str) -> None:
    """Check that a folder does not exist.

    Raises:
        SettingsError: The path exists, be it as a link that leads nowhere.
    """
    if os.path.lexists(folder):
        raise SettingsError(flag, f"{flag} {folder} exists. Name a new folder.")


def manifest_of(writable: Mapping[str, str], quarantined: Mapping[str, str]) -> bytes:
    """Return the manifest of written (→ SHA-256) and quarantined (→ reason) paths."""
    content = {"sha256": dict(writable), "quarantined": dict(quarantined)}
    return json.dumps(content, indent=1).encode() + b"\n"


def _write_folder(folder: Path, contents: Mapping[str, bytes], flag: str) -> None:
    """Write a new folder, which appears completely or not at all."""
    check_new_folder(folder, flag)
    part = folder.with_name(f".{secrets.token_hex(8)}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(mode=0o755)
        with HostFolder(part) as host:
            for path, content in contents.items():
                host.create(path, content)
        part.rename(folder)
    except (OSError, UnsafePath) as error:
        _discard(part)
        problem = f"{flag} {folder} cannot be written: {reason_of(error)}. Name another folder."
        raise SettingsError(flag, problem) from error
    except BaseException:
        _discard(part)
        raise


def _discard(part: Path) -> None:
    for folder, _, names in os.walk(part, topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)


def _bare_repositories(files: Mapping[str, str]) -> set[str]:
    """Return the folders that Git takes for a repository without a work tree."""
    folded = {_folded(path) for path in files}
    heads = {
        path.removesuffix("head").removesuffix("/")
        for path in folded
        if path.rpartition("/")[2] == "head"
    }
    return {folder for folder in heads if f"{folder}/config".removeprefix("/") in folded}


def _reason_against(path: str, folded: str, repositories: set[str]) -> str:
    """Return the reason to quarantine a path, as a verb and its object, or ''."""
    try:
        parts = check_path(path).split("/")
    except PathError as error:
        return reason_of(error)
    reason = next(filter(None, map(_reason_against_name, parts)), "")
    if reason:
        return reason
    if parts[-1].casefold() == MANIFEST:
        return "has the name of the manifest"
    folder, _, name = folded.rpartition("/")
    if folder in repositories and name in _BARE:
        return "makes its folder a Git repository, whose configuration acts on a host by itself"
    return ""


def _reason_against_name(name: str) -> str:
    folded = name.casefold()
    if folded in _ACTING_FOLDERS | _ACTING_NAMES or folded.endswith(_ACTING_ENDINGS):
        return f"has the name {name}, which acts on a host by itself"
    if _SHORT.fullmatch(name):
        return f"has the name {name}, the short form of another name on some systems"
    if _RESERVED.fullmatch(name):
        return f"has the name {name}, which is a device on some systems"
    return ""


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
