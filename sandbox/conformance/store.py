"""Checks of the file store."""

import hashlib
from functools import partial

from sandbox.conformance.expect import holds, python, refused, same, shell
from sandbox.interface import Sandbox
from sandbox.results import Change, FileEntry, Job

_CONTENTS = {
    "all-bytes.bin": bytes(range(256)) * 64,
    "crlf.txt": b"one\r\ntwo\r\n",
    "empty": b"",
    "no-newline.txt": b"no newline at the end",
    "long-line.txt": b"x" * 3_000_000,
    "not-unicode.txt": b"\xff\xfe\x80 latin \xe9",
    "bom.txt": b"\xef\xbb\xbfmark",
    "nested/deep/er.py": b"print('\\0')\n",
}
_ODD_NAMES = (
    "a b.txt", "ünïcödé.txt", "日本語/ファイル.py", "🙂.txt", "'single'.txt", "$HOME.txt",
    "`id`.txt",
    "a;b&c.txt",
    "(a)[b]{c}.txt", "%41%2e.txt", ".hidden", "..two-dots", "#!.txt", "a=b,c+d@e!.txt",
    "tilde~.txt", "a" * 200,
    "/".join("d" * 32), "conf.py", "auxiliary.py",
)  # fmt: skip
_BAD_NAMES = (
    "", ".", "..", "/etc/passwd", "../up", "a/../../b", "a/./b", "a//b", "a/", "~/x", "-rf", "a/-b",
    "nul\0.txt",
    "new\nline", "esc\x1b[31m", "back\\slash", "c:colon", "star*", "what?", "pipe|", '"quoted"',
    "<in>", "end.", "end ",
    " start", "con", "NUL.txt", "Com1.py", "e\u0301.txt", "\u202etxt.exe", "\ud800.txt",
    "zero\u200bwidth", "a" * 201,
    "/".join("d" * 33), "/".join(["a" * 199] * 6), ".l2mac-0.part",
)  # fmt: skip
_MANY = 1500
_TOO_LARGE = bytes(4 * 1024 * 1024 + 1)
_TOO_MANY = 10_001


def keeps_bytes_exactly(sandbox: Sandbox) -> None:
    """Return the written content byte for byte, with its hash."""
    digests = sandbox.write(_CONTENTS)
    for path, content in _CONTENTS.items():
        same(sandbox.read(path, limit=1 << 22), (content, len(content)), f"the content of {path}")
        same(digests[path], hashlib.sha256(content).hexdigest(), f"the digest of {path}")


def takes_odd_names(sandbox: Sandbox) -> None:
    """Accept every valid name."""
    sandbox.write({name: name.encode() for name in _ODD_NAMES})
    same([entry.path for entry in sandbox.files()], sorted(_ODD_NAMES), "the names")
    for name in _ODD_NAMES:
        same(sandbox.read(name)[0], name.encode(), f"the content of {name}")


def refuses_bad_names(sandbox: Sandbox) -> None:
    """Refuse names that lead elsewhere, hide something or differ between machines."""
    for name in _BAD_NAMES:
        files = {"good.txt": b"", name: b""}
        refused(partial(sandbox.write, files), f"writing {name!r}")
        refused(partial(sandbox.read, name), f"reading {name!r}")
        refused(partial(sandbox.delete, [name]), f"deleting {name!r}")
    same(sandbox.files(), (), "the store after nothing but refusals")


def writes_all_or_none(sandbox: Sandbox) -> None:
    """Change nothing if one file of a write is refused."""
    sandbox.write({"kept.txt": b"old", "folder/kept.txt": b"old"})
    before = sandbox.files()
    new = {"fresh/new.txt": b"new", "kept.txt": b"new"}
    refused(lambda: sandbox.write({**new, "big.bin": _TOO_LARGE}), "a file that is too large")
    refused(
        lambda: sandbox.write({**new, "kept.txt/below": b""}),
        "a file below a file of the same write",
    )
    refused(
        lambda: sandbox.write({"fresh/new.txt": b"", "folder/kept.txt/below": b""}),
        "a file below a file",
    )
    refused(lambda: sandbox.write({**new, "folder": b""}), "a file in place of a directory")
    refused(
        lambda: sandbox.write({**new, **{f"many/{n}": b"" for n in range(_TOO_MANY)}}),
        "too many files",
    )
    same(sandbox.files(), before, "the store after refused writes")
    same(sandbox.read("kept.txt")[0], b"old", "a file after refused writes")


def leaves_no_trace_of_refused_writes(sandbox: Sandbox) -> None:
    """Remove new directories and partial files of refused writes."""
    sandbox.write({"folder/kept.txt": b"old"})
    refused(
        lambda: sandbox.write({"fresh/deep/new.txt": b"", "folder": b""}),
        "a file in place of a directory",
    )
    same(
        shell(sandbox, "find . | sort").output.head.split(),
        [b".", b"./folder", b"./folder/kept.txt"],
        "the store's tree",
    )


def writes_thousands_at_once(sandbox: Sandbox) -> None:
    """Write more files at once than a process may have open."""
    files = {f"pkg{n % 40}/sub/m{n}.py": b"x = %d\n" % n for n in range(_MANY)}
    sandbox.write(files)
    same(len(sandbox.files()), _MANY, "the number of files")
    sandbox.write({"pkg0/sub/m0.py": b""})
    same(sandbox.files()[0].size, 0, "the size of a file that was written anew")


def reads_ranges(sandbox: Sandbox) -> None:
    """Return parts of a file, nothing beyond its end, and its size each time."""
    content = bytes(range(200)) * 10
    sandbox.write({"ranges.bin": content})
    for offset, limit in (
        (0, 0),
        (0, 7),
        (5, 100),
        (1990, 100),
        (2000, 10),
        (5000, 10),
        (0, 1 << 40),
    ):
        part = content[offset : offset + limit]
        same(
            sandbox.read("ranges.bin", offset=offset, limit=limit),
            (part, 2000),
            f"{limit} bytes from {offset}",
        )
    refused(lambda: sandbox.read("missing.bin"), "a file that is not there")
    sandbox.write({"folder/file.txt": b""})
    refused(lambda: sandbox.read("folder"), "a directory")
    refused(lambda: sandbox.read("ranges.bin/below"), "a path below a file")


def lists_what_is_there(sandbox: Sandbox) -> None:
    """List every file once, sorted, with size and hash."""
    files = {"b.txt": b"bb", "a/z.txt": b"", "a/b/c.txt": b"ccc"}
    sandbox.write(files)
    wanted = tuple(
        FileEntry(path, len(files[path]), hashlib.sha256(files[path]).hexdigest())
        for path in sorted(files)
    )
    same(sandbox.files(), wanted, "the listing")


def deletes_all_or_none(sandbox: Sandbox) -> None:
    """Delete the requested files, or none if one of them does not exist."""
    sandbox.write({"a/b/c.txt": b"", "d.txt": b""})
    refused(lambda: sandbox.delete(["d.txt", "missing.txt"]), "deleting a file that is not there")
    refused(lambda: sandbox.delete(["d.txt", "a/b"]), "deleting a directory")
    same(len(sandbox.files()), 2, "the number of files after refused deletions")
    sandbox.delete(["a/b/c.txt", "a/b/c.txt"])
    sandbox.write({"a": b"a file where a directory was"})
    same([entry.path for entry in sandbox.files()], ["a", "d.txt"], "what is left")


def searches_literally(sandbox: Sandbox) -> None:
    """Find lines by literal text, skip binary files, and report further matches."""
    sandbox.write({"a.py": b"x = 1\ny = x.z(1)\n", "b/c.txt": b"X.Z\r\nxyz\n", "d.bin": b"\0x.z"})
    found, more = sandbox.search("x.z")
    same(
        [(match.path, match.line, match.text) for match in found],
        [("a.py", 2, "y = x.z(1)")],
        "the matches",
    )
    holds(not more, "there are no more matches")
    same(
        [match.path for match in sandbox.search("x.z", ignore_case=True)[0]],
        ["a.py", "b/c.txt"],
        "without case",
    )
    sandbox.write({"many.txt": b"needle\n" * 20})
    found, more = sandbox.search("needle", max_matches=5)
    same(([match.line for match in found], more), ([1, 2, 3, 4, 5], True), "a bounded search")
    same(sandbox.search("no such text"), ((), False), "a search for what is not there")


def bounds_what_a_search_finds(sandbox: Sandbox) -> None:
    """Return at most 1000 matches, with 400 bytes of a line; fold only ASCII."""
    sandbox.write(
        {
            "long.txt": b"start " + b"x" * 1000,
            "many.txt": b"needle\n" * 1200,
            "other.txt": "GRÖSSE".encode(),
        }
    )
    found, more = sandbox.search("needle", max_matches=5000)
    same((len(found), more), (1000, True), "a search for more than a thousand lines")
    same(
        [len(match.text) for match in sandbox.search("start")[0]],
        [400],
        "the length of a long line",
    )
    same(
        sandbox.search("größe", ignore_case=True),
        ((), False),
        "a search that would fold more than ASCII letters",
    )
    same(len(sandbox.search("grÖsse", ignore_case=True)[0]), 1, "a search that folds ASCII letters")


def sees_every_change(sandbox: Sandbox) -> None:
    """Report the files that a command created, changed or deleted, and no others."""
    sandbox.write(
        {"same.txt": b"same", "hidden.txt": b"1234", "gone.txt": b"", "untouched.txt": b"u"}
    )
    script = """
touch -r hidden.txt stamp && printf 5678 > hidden.txt && touch -r stamp hidden.txt
rm stamp gone.txt; printf same > same.txt; mkdir -p new/dir; printf made > new/dir/made.txt
touch -d '2001-01-01' untouched.txt"""
    changes = sandbox.run([Job("script", ("sh", "-c", script))]).changes
    digest = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("5678", "made")}
    wanted = (
        Change("gone.txt", -1, ""),
        Change("hidden.txt", 4, digest["5678"]),
        Change("new/dir/made.txt", 4, digest["made"]),
    )
    same(changes, wanted, "the changes")
    same(sandbox.read("new/dir/made.txt")[0], b"made", "a file that a command made")


def stays_whole_when_it_is_full(sandbox: Sandbox) -> None:
    """Refuse a write without free space, and leave the files unchanged."""
    sandbox.write({"kept.txt": b"old"})
    fill = """
import os
for n in range(100):
    with open(f'fill{n}', 'wb') as f: f.write(os.urandom(1 << 20) * 16)"""
    holds(not python(sandbox, fill).succeeded, "a command cannot write more than the store's size")
    refused(
        lambda: sandbox.write({"kept.txt": b"x" * 3_000_000, "new/more.txt": b"x" * 3_000_000}),
        "a write to a full store",
    )
    same(sandbox.read("kept.txt")[0], b"old", "a file of the full store")
    holds(
        not any(entry.path.startswith("new") for entry in sandbox.files()),
        "nothing of the refused write is there",
    )
    sandbox.delete([entry.path for entry in sandbox.files()])
    sandbox.write({"again.txt": b"x" * 3_000_000})


CHECKS = (
    keeps_bytes_exactly,
    takes_odd_names,
    refuses_bad_names,
    writes_all_or_none,
    writes_thousands_at_once,
    reads_ranges,
    lists_what_is_there,
    deletes_all_or_none,
    searches_literally,
    bounds_what_a_search_finds,
)
CHECKS_WITH_COMMANDS = (
    leaves_no_trace_of_refused_writes,
    sees_every_change,
    stays_whole_when_it_is_full,
)
