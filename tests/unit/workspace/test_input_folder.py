"""Reading a folder as input: taken, excluded and refused files. Nothing is written."""

import os
from pathlib import Path

import pytest

from l2mac.errors import SettingsError
from l2mac.workspace.host_folder import HostFolder
from l2mac.workspace.input_folder import Input, check_outside, read_input
from sandbox import SandboxPolicy

POLICY = SandboxPolicy()


def make(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


def read(folder: Path, *exclude: str, policy: SandboxPolicy = POLICY) -> Input:
    return read_input(folder, exclude, policy)


def test_files_are_taken_byte_by_byte_and_nothing_is_written(tmp_path: Path) -> None:
    content = bytes(range(256)) + b"\r\n"
    make(tmp_path, "a/b.py").joinpath("bin.dat").write_bytes(content)
    before = sorted(
        (str(path), path.lstat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*"))
    )
    assert read(tmp_path).contents == {"a/b.py": b"a/b.py", "bin.dat": content}
    assert (
        sorted((str(path), path.lstat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*")))
        == before
    )


@pytest.mark.parametrize(
    "path",
    [
        ".git/config", "sub/.git", ".hg/x", ".svn/x", "__pycache__/a.pyc", ".venv/bin/python",
        "a/node_modules/b/c.js", "x.egg-info/PKG-INFO", ".env", "deploy/.env.production",
        "server.pem", "a/ID_RSA", "id_ed25519.pub", ".netrc", ".pypirc", ".npmrc",
        ".aws/credentials", "credentials.json", "secrets.toml", "terraform.tfvars", "my.key",
        ".l2mac-manifest.json", "service-account-prod.json",
    ],
)  # fmt: skip
def test_version_control_caches_and_secrets_are_excluded_by_name(tmp_path: Path, path: str) -> None:
    found = read(make(tmp_path, "a.py", path))
    assert set(found.contents) == {"a.py"}
    (named,) = (name for names in found.left_out.values() for name in names)
    assert path.startswith(named)
    assert named in str(found)


@pytest.mark.parametrize(
    "path",
    [
        "secrets.py",
        "credentials.py",
        "keys.py",
        "env.py",
        ".env.example",
        "token.py",
        ".gitignore",
        "build/a.py",
    ],
)
def test_code_that_is_only_named_alike_is_taken(tmp_path: Path, path: str) -> None:
    assert path in read(make(tmp_path, path)).contents


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("docs", {"a.py", "sub/b.txt"}),
        ("docs/", {"a.py", "sub/b.txt"}),
        ("*.txt", {"a.py", "docs/x.md", "docs/deep/y.md"}),
        ("docs/*/y.md", {"a.py", "docs/x.md", "sub/b.txt"}),
        ("sub/b.*", {"a.py", "docs/x.md", "docs/deep/y.md"}),
    ],
)
def test_patterns_exclude_names_or_paths(tmp_path: Path, pattern: str, left: set[str]) -> None:
    make(tmp_path, "a.py", "docs/x.md", "docs/deep/y.md", "sub/b.txt")
    found = read(tmp_path, pattern)
    assert set(found.contents) == left
    assert "--exclude" in found.left_out


def test_links_and_special_files_are_never_followed_and_are_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = make(tmp_path / "in", "a.py")
    (folder / "link.py").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = read(folder)
    assert set(found.contents) == {"a.py"}
    assert found.left_out == {"links and special files": ("folder", "link.py", "pipe")}


def test_the_folder_itself_may_not_be_a_link(tmp_path: Path) -> None:
    make(tmp_path / "real", "a.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SettingsError, match=r"is not a folder that can be opened"):
        read(tmp_path / "link")


@pytest.mark.parametrize("swapped", ["a.py", "sub"])
def test_files_replaced_by_links_while_reading_are_refused(tmp_path: Path, swapped: str) -> None:
    outside = make(tmp_path / "outside", "a.py", "b.py")
    folder = make(tmp_path / "in", "a.py", "sub/b.py")
    with HostFolder(folder) as host:
        host.entries()
        (folder / swapped).rename(tmp_path / "away")
        (folder / swapped).symlink_to(outside / "a.py" if swapped == "a.py" else outside)
        with pytest.raises(Exception, match="links are never followed"):
            host.read("a.py" if swapped == "a.py" else "sub/b.py", 100)


def test_unacceptable_input_names_are_reported_together(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "con.txt", "what?.py", *(f"x:{number}" for number in range(9)))
    with pytest.raises(
        SettingsError, match=r"device on some systems.*what.*and 6 more\. Rename .*--exclude"
    ):
        read(tmp_path)
    assert set(read(tmp_path, "x:*", "con.*", "what*").contents) == {"a.py"}


def test_bytes_that_are_no_name_in_any_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    with pytest.raises(SettingsError, match="not valid Unicode"):
        read(tmp_path)


def test_too_many_files_are_refused_with_the_largest_folders(tmp_path: Path) -> None:
    make(tmp_path, "a.py", *(f"data/raw/{number}" for number in range(20)))
    with pytest.raises(
        SettingsError,
        match=r"21 files, more than 10\. The largest .* data/raw/ \(20 files\).*--exclude",
    ):
        read(tmp_path, policy=SandboxPolicy(max_files=10))


def test_too_many_bytes_are_refused_with_the_largest_folders(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "data/x").joinpath("data/x").write_bytes(b"x" * (1 << 20))
    with pytest.raises(
        SettingsError, match=r"more than 768 KiB in the sandbox\. .*data/ \(1 MiB\).*raise --disk"
    ):
        read(tmp_path, policy=SandboxPolicy(disk_bytes=1 << 20))


def test_one_file_that_is_too_large_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "big.bin").joinpath("big.bin").write_bytes(b"x" * 5000)
    with pytest.raises(
        SettingsError, match=r"'big.bin' has more than 4096 bytes\. Exclude the file with --exclude"
    ):
        read(tmp_path, policy=SandboxPolicy(max_write_bytes=4096))


def test_folders_that_are_too_deep_are_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(70):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(SettingsError, match="folders deep"):
        read(tmp_path)


def test_empty_input_is_refused_with_its_excluded_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no usable files.*version control .\.git/"):
        read(make(tmp_path, ".git/config"))


def test_earlier_results_of_l2mac_are_excluded(tmp_path: Path) -> None:
    make(
        tmp_path,
        "a.py",
        "workspace/todo/.l2mac-manifest.json",
        "workspace/todo/x.py",
        "workspace/mine/y.py",
    )
    found = read(tmp_path)
    assert set(found.contents) == {"a.py", "workspace/mine/y.py"}
    assert "workspace/todo/" in found.left_out["earlier results of l2mac"]


@pytest.mark.parametrize("inside", ["", "out", "a/b"])
def test_input_folder_accepts_no_writes(tmp_path: Path, inside: str) -> None:
    with pytest.raises(SettingsError, match=r"--output .* is inside --input-dir"):
        check_outside(tmp_path, tmp_path / inside, "--output")
    check_outside(tmp_path, tmp_path.parent / "elsewhere", "--output")
