"""Bring a run's files to the host: regular files only, from the recorded objects, into a new folder.

Nothing in a box is read for this. Names that act on a host by themselves, as soon as a folder is opened, entered or
checked out, are set aside and reported: the user decides about them with the files before their eyes.
"""

import json
import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.trace.objects import ObjectStore
from sandbox import PathError, check_path

MANIFEST = ".l2mac-manifest.json"

_ACTING_FOLDERS = frozenset(
    ".git .hg .svn .vscode .idea .devcontainer .claude .cursor .codex .gemini .github .gitlab .circleci .husky"
    " .cargo .bundle .zed .fleet .vs .direnv .mise .terraform .windsurf .continue .roo .kiro .amazonq .junie"
    " .ctags.d".split()
)
_ACTING_NAMES = frozenset(
    ".gitattributes .gitmodules .gitconfig .envrc .env .mcp.json claude.md agents.md gemini.md .cursorrules"
    " .windsurfrules .clinerules .aider.conf.yml .pre-commit-config.yaml .gitlab-ci.yml .travis.yml jenkinsfile"
    " .tool-versions .mise.toml mise.toml .bashrc .bash_profile .profile .zshrc .zshenv .zprofile .inputrc .npmrc"
    " .yarnrc .yarnrc.yml .pypirc pip.conf .netrc .ripgreprc .lesskey .vimrc .exrc .nvimrc .nvim.lua"
    " .dir-locals.el .editorconfig .python-version sitecustomize.py usercustomize.py desktop.ini autorun.inf"
    " .ds_store .devcontainer.json .gdbinit .lldbinit .roorules .roomodes .pdbrc .rprofile .renviron .irbrc .pryrc"
    " .byebugrc .rvmrc .ctags .lvimrc .local.vimrc .flaskenv .bazelrc .hgrc .autoenv .autoenv.zsh".split()
)
_BARE = frozenset({"head", "config"})
_ACTING_ENDINGS = (".pth", ".desktop", ".code-workspace", ".sublime-project", ".lnk", ".url")
_SHORT = re.compile(r"[^.]{1,6}~\d+(\.[^.]{0,3})?")
_MOST_FILES = 20_000
_MOST_BYTES = 1024**3
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE
)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Export:
    """What was written where, and what was set aside: path → reason."""

    folder: Path
    written: tuple[str, ...]
    set_aside: Mapping[str, str]


def sort_out(files: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split files (path → object) into those to write and those to set aside (path → reason).

    What is written can be told apart on a file system that takes upper and lower case for the same.
    """
    writable: dict[str, str] = {}
    aside: dict[str, str] = {}
    taken: dict[str, str] = {}
    folders: dict[str, str] = {}
    repositories = _bare_repositories(files)
    for path, name in sorted(files.items()):
        folded = unicodedata.normalize("NFC", path).casefold()
        above = [folded[:index] for index, character in enumerate(folded) if character == "/"]
        twin = taken.get(folded) or next(
            (taken[folder] for folder in above if folder in taken), folders.get(folded)
        )
        reason = _reason_against(path)
        if folded.rpartition("/")[0] in repositories and folded.rpartition("/")[2] in _BARE:
            reason = (
                reason
                or "makes its folder a Git repository, whose configuration acts by itself on a host"
            )
        if not reason and twin:
            reason = (
                f"cannot stand beside {twin} everywhere: letter case is all that tells them apart"
            )
        if reason:
            aside[path] = reason
        else:
            writable[path] = name
            taken[folded] = path
            folders.update(dict.fromkeys(above, path))
    return writable, aside


def export(files: Mapping[str, str], objects: ObjectStore, folder: Path) -> Export:
    """Write a run's files into a new folder, which appears whole or not at all.

    Args:
        files: Path → object.
        objects: Where the contents are.
        folder: Must not exist; its parent is made.

    Raises:
        SettingsError: The folder exists or cannot be made.
        TraceError: An object is missing or altered.
    """
    writable, aside = sort_out(files)
    check_new_folder(folder)
    contents = read_whole(writable, objects)
    _write_folder(folder, contents, {MANIFEST: manifest_of(writable, aside)}, "--output")
    return Export(folder, tuple(writable), aside)


def read_whole(files: Mapping[str, str], objects: ObjectStore) -> dict[str, bytes]:
    """Give the contents of files (path → object), counted as they are read and not as anybody claims.

    Raises:
        SettingsError: They are too many or too large for an export.
        TraceError: An object is missing or altered.
    """
    if len(files) > _MOST_FILES:
        raise SettingsError(
            "--output", f"the run has {len(files)} files; an export takes {_MOST_FILES} at most"
        )
    contents: dict[str, bytes] = {}
    left = _MOST_BYTES
    for path, name in files.items():
        contents[path] = objects.get(name)
        left -= len(contents[path])
        if left < 0:
            raise SettingsError(
                "--output", f"the files are larger than {_MOST_BYTES} bytes together"
            )
    return contents


def quarantine(
    files: Mapping[str, str], aside: Mapping[str, str], objects: ObjectStore, folder: Path
) -> Path:
    """Write what an export sets aside (path → reason) into a new folder, under numbers that act nowhere.

    Args:
        files: Path → object, of all files of the run.
        aside: Path → reason.
        objects: Where the contents are.
        folder: Must not exist; `index.json` in it says which number is which path, and why it was set aside.

    Raises:
        SettingsError: The folder exists or cannot be made.
        TraceError: An object is missing or altered.
    """
    numbers = {path: f"{number:05}.txt" for number, path in enumerate(aside, 1)}
    index = [
        {"file": numbers[path], "path": path, "sha256": files[path], "reason": aside[path]}
        for path in aside
    ]
    contents = read_whole({path: files[path] for path in aside}, objects)
    named = {numbers[path]: content for path, content in contents.items()}
    _write_folder(
        folder, named, {"index.json": json.dumps(index, indent=1).encode() + b"\n"}, "--quarantine"
    )
    return folder


def check_new_folder(folder: Path) -> None:
    """Make sure that the folder is a new one.

    Raises:
        SettingsError: It exists, be it as a link that leads nowhere.
    """
    if os.path.lexists(folder):
        raise SettingsError("--output", f"{folder} exists; name a new folder")


def _write_folder(
    folder: Path, contents: Mapping[str, bytes], last: Mapping[str, bytes], flag: str
) -> None:
    """Write a new folder, which appears whole or not at all."""
    check_new_folder(folder)
    part = folder.with_name(f".{secrets.token_hex(8)}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(mode=0o755)
        _fill(part, {**contents, **last})
        part.rename(folder)
    except OSError as error:
        _discard(part)
        raise SettingsError(flag, f"{folder} cannot be written: {error.strerror}") from error
    except BaseException:
        _discard(part)
        raise


def _fill(part: Path, contents: Mapping[str, bytes]) -> None:
    root = os.open(part, _DIRECTORY)
    try:
        for path, content in contents.items():
            _write(root, path, content)
    finally:
        os.close(root)


def manifest_of(writable: Mapping[str, str], aside: Mapping[str, str]) -> bytes:
    """Give the manifest's bytes for files written (path → SHA-256) and set aside (path → reason)."""
    return (
        json.dumps({"sha256": dict(writable), "set_aside": dict(aside)}, indent=1).encode() + b"\n"
    )


def _bare_repositories(files: Mapping[str, str]) -> set[str]:
    """Give the folders that Git would take for a repository without a work tree, by the names in them."""
    folded = {unicodedata.normalize("NFC", path).casefold() for path in files}
    heads = {
        path.removesuffix("head").removesuffix("/")
        for path in folded
        if path.rpartition("/")[2] == "head"
    }
    return {folder for folder in heads if (f"{folder}/config" if folder else "config") in folded}


def _reason_against(path: str) -> str:
    try:
        parts = check_path(path).split("/")
    except PathError as error:
        return str(error)
    for part in parts:
        if part.casefold() in _ACTING_FOLDERS | _ACTING_NAMES or part.casefold().endswith(
            _ACTING_ENDINGS
        ):
            return f"{part} acts by itself on a host"
        if _SHORT.fullmatch(part):
            return f"{part} may be the short form of another name on some systems"
        if _RESERVED.fullmatch(part):
            return f"{part} is a device name on some systems"
    return "the name is taken by the manifest" if parts[-1].casefold() == MANIFEST else ""


def _write(root: int, path: str, content: bytes) -> None:
    *folders, name = path.split("/")
    current = os.dup(root)
    try:
        for folder in folders:
            try:
                os.mkdir(folder, 0o755, dir_fd=current)
            except FileExistsError:
                pass
            above, current = current, os.open(folder, _DIRECTORY, dir_fd=current)
            os.close(above)
        fd = os.open(name, _CREATE, 0o644, dir_fd=current)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    finally:
        os.close(current)


def _discard(part: Path) -> None:
    for folder, _, names in os.walk(part, topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
