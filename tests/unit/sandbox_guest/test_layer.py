"""Wheels are unpacked as regular files below one folder, or not at all."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from sandbox.guest.layer import Unpacker, WheelRefused, digest_of, main

FILES = {"pkg/__init__.py": "A = 1\n", "pkg-1.dist-info/METADATA": "Name: pkg\n"}


def wheel(files: dict[str, str], *, mode: int = 0o644, kind: int = stat.S_IFREG) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | mode) << 16
            archive.writestr(entry, text)
    content.seek(0)
    return content


def unpack(
    folder: Path, file: io.BytesIO, *, max_bytes: int = 10_000, max_files: int = 10
) -> list[str]:
    folder.mkdir(exist_ok=True)
    Unpacker(str(folder), max_bytes, max_files).unpack(file)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_unpacked_wheel_files_are_read_only_without_their_own_modes(
    tmp_path: Path, usual_umask: None
) -> None:
    assert unpack(tmp_path / "t", wheel(FILES, mode=0o6777)) == sorted(FILES)
    assert {
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "t").rglob("*") if path.is_file()
    } == {0o444}


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/out", "a//b", "./a", "..\\out", "a\nb", "x" * 600]
)
def test_escaping_wheel_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WheelRefused, match="path"):
        unpack(tmp_path / "t", wheel({name: ""}))
    assert not (tmp_path / "out").exists()
    assert unpack(tmp_path / "t", wheel({"a": ""})) == ["a"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK])
def test_wheel_entries_other_than_regular_files_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(WheelRefused, match="regular"):
        unpack(tmp_path / "t", wheel({"a": "/etc/passwd"}, kind=kind))


def test_wheel_scripts_are_excluded_and_data_libraries_unpacked(tmp_path: Path) -> None:
    names = (
        "x.data/scripts/run",
        "x.data/headers/a.h",
        "x.data/purelib/a.py",
        "x.data/platlib/b.py",
    )
    assert unpack(tmp_path / "t", wheel(dict.fromkeys(names, ""))) == ["a.py", "b.py"]


@pytest.mark.parametrize("bounds", [{"max_bytes": 3}, {"max_files": 1}])
def test_bytes_and_files_are_bounded(tmp_path: Path, bounds: dict[str, int]) -> None:
    with pytest.raises(WheelRefused, match="too"):
        unpack(tmp_path / "t", wheel(FILES), **bounds)


def test_layer_hash_depends_only_on_the_wheels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = []
    for number, text in enumerate(("A = 1\n", "A = 1\n", "A = 2\n")):
        source, target = tmp_path / f"s{number}" / "pkg-1-py3-none-any.whl", tmp_path / f"t{number}"
        source.mkdir(parents=True)
        target.mkdir()
        content = wheel({**FILES, "pkg/__init__.py": text}).getvalue()
        (source / "0000").write_bytes(content[:100])
        (source / "0001").write_bytes(content[100:])
        assert main(str(source.parent), str(target), 10_000, 10) == 0
        hashes.append(capsys.readouterr().out.strip())
        assert hashes[-1] == digest_of(str(target))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_changed_mode_changes_the_hash(tmp_path: Path) -> None:
    unpack(tmp_path / "t", wheel(FILES))
    before = digest_of(str(tmp_path / "t"))
    (tmp_path / "t" / "pkg" / "__init__.py").chmod(0o4755)
    assert digest_of(str(tmp_path / "t")) != before


def test_invalid_zip_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "s" / "bad-1-py3-none-any.whl"
    source.mkdir(parents=True)
    (source / "0000").write_bytes(b"not a zip file")
    assert main(str(source.parent), str(tmp_path), 10, 10) == 1
    assert capsys.readouterr().out.startswith("bad-1-py3-none-any.whl: ")
