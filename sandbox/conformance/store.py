"""Checks of the file store."""

import hashlib

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
    "a b.txt", "ünïcödé.txt", "日本語/ファイル.py", "🙂.txt", "'single'.txt", "$HOME.txt", "`id`.txt", "a;b&c.txt",
    "(a)[b]{c}.txt", "%41%2e.txt", ".hidden", "..two-dots", "#!.txt", "a=b,c+d@e!.txt", "tilde~.txt", "a" * 200,
    "/".join("d" * 32), "conf.py", "auxiliary.py",
)  # fmt: skip
_BAD_NAMES = (
    "", ".", "..", "/etc/passwd", "../up", "a/../../b", "a/./b", "a//b", "a/", "~/x", "-rf", "a/-b", "nul\0.txt",
    "new\nline", "esc\x1b[31m", "back\\slash", "c:colon", "star*", "what?", "pipe|", '"quoted"', "<in>", "end.", "end ",
    " start", "con", "NUL.txt", "Com1.py", "e\u0301.txt", "\u202etxt.exe", "\ud800.txt", "zero\u200bwidth", "a" * 201,
    "/".join("d" * 33), "/".join(["a" * 199] * 6), ".l2mac-0.part",
)  # fmt: skip
_MANY = 1500
_TOO_LARGE = bytes(4 * 1024 * 1024 + 1)
_TOO_MANY = 10_001


def keeps_bytes_exactly(box: Sandbox) -> None:
    """Give back what was written, byte for byte, with its hash."""
    digests = box.write(_CONTENTS)
    for path, content in _CONTENTS.items():
        same(box.read(path, limit=1 << 22), (content, len(content)), f"the content of {path}")
        same(digests[path], hashlib.sha256(content).hexdigest(), f"the digest of {path}")


def takes_odd_names(box: Sandbox) -> None:
    """Take every name that is acceptable, and refuse it to nobody."""
    box.write({name: name.encode() for name in _ODD_NAMES})
    same([entry.path for entry in box.files()], sorted(_ODD_NAMES), "the names")
    for name in _ODD_NAMES:
        same(box.read(name)[0], name.encode(), f"the content of {name}")


def refuses_bad_names(box: Sandbox) -> None:
    """Refuse what leads elsewhere, hides something or means something else on another machine."""
    for name in _BAD_NAMES:
        refused(lambda name=name: box.write({"good.txt": b"", name: b""}), f"writing {name!r}")  # type: ignore[misc]
        refused(lambda name=name: box.read(name), f"reading {name!r}")  # type: ignore[misc]
        refused(lambda name=name: box.delete([name]), f"deleting {name!r}")  # type: ignore[misc]
    same(box.files(), (), "the store after nothing but refusals")


def writes_all_or_none(box: Sandbox) -> None:
    """Change nothing when one file of a write is refused."""
    box.write({"kept.txt": b"old", "folder/kept.txt": b"old"})
    before = box.files()
    new = {"fresh/new.txt": b"new", "kept.txt": b"new"}
    refused(lambda: box.write({**new, "big.bin": _TOO_LARGE}), "a file that is too large")
    refused(
        lambda: box.write({**new, "kept.txt/below": b""}), "a file below a file of the same write"
    )
    refused(
        lambda: box.write({"fresh/new.txt": b"", "folder/kept.txt/below": b""}),
        "a file below a file",
    )
    refused(lambda: box.write({**new, "folder": b""}), "a file in place of a directory")
    refused(
        lambda: box.write({**new, **{f"many/{n}": b"" for n in range(_TOO_MANY)}}), "too many files"
    )
    same(box.files(), before, "the store after refused writes")
    same(box.read("kept.txt")[0], b"old", "a file after refused writes")


def leaves_no_trace_of_refused_writes(box: Sandbox) -> None:
    """Leave neither new directories nor parts of files behind."""
    box.write({"folder/kept.txt": b"old"})
    refused(
        lambda: box.write({"fresh/deep/new.txt": b"", "folder": b""}),
        "a file in place of a directory",
    )
    same(
        shell(box, "find . | sort").output.head.split(),
        [b".", b"./folder", b"./folder/kept.txt"],
        "the store's tree",
    )


def writes_thousands_at_once(box: Sandbox) -> None:
    """Write more files at once than a process may have open."""
    files = {f"pkg{n % 40}/sub/m{n}.py": b"x = %d\n" % n for n in range(_MANY)}
    box.write(files)
    same(len(box.files()), _MANY, "the number of files")
    box.write({"pkg0/sub/m0.py": b""})
    same(box.files()[0].size, 0, "the size of a file that was written anew")


def reads_ranges(box: Sandbox) -> None:
    """Give parts of a file, nothing beyond its end, and its size each time."""
    content = bytes(range(200)) * 10
    box.write({"ranges.bin": content})
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
            box.read("ranges.bin", offset=offset, limit=limit),
            (part, 2000),
            f"{limit} bytes from {offset}",
        )
    refused(lambda: box.read("missing.bin"), "a file that is not there")
    box.write({"folder/file.txt": b""})
    refused(lambda: box.read("folder"), "a directory")
    refused(lambda: box.read("ranges.bin/below"), "a path below a file")


def lists_what_is_there(box: Sandbox) -> None:
    """List every file once, sorted, with size and hash."""
    files = {"b.txt": b"bb", "a/z.txt": b"", "a/b/c.txt": b"ccc"}
    box.write(files)
    wanted = tuple(
        FileEntry(path, len(files[path]), hashlib.sha256(files[path]).hexdigest())
        for path in sorted(files)
    )
    same(box.files(), wanted, "the listing")


def deletes_all_or_none(box: Sandbox) -> None:
    """Delete what is asked for, or nothing when one of the files is not there."""
    box.write({"a/b/c.txt": b"", "d.txt": b""})
    refused(lambda: box.delete(["d.txt", "missing.txt"]), "deleting a file that is not there")
    refused(lambda: box.delete(["d.txt", "a/b"]), "deleting a directory")
    same(len(box.files()), 2, "the number of files after refused deletions")
    box.delete(["a/b/c.txt", "a/b/c.txt"])
    box.write({"a": b"a file where a directory was"})
    same([entry.path for entry in box.files()], ["a", "d.txt"], "what is left")


def searches_literally(box: Sandbox) -> None:
    """Find lines by text, not by pattern; skip what is no text; say when there is more."""
    box.write({"a.py": b"x = 1\ny = x.z(1)\n", "b/c.txt": b"X.Z\r\nxyz\n", "d.bin": b"\0x.z"})
    found, more = box.search("x.z")
    same(
        [(match.path, match.line, match.text) for match in found],
        [("a.py", 2, "y = x.z(1)")],
        "the matches",
    )
    holds(not more, "there are no more matches")
    same(
        [match.path for match in box.search("x.z", ignore_case=True)[0]],
        ["a.py", "b/c.txt"],
        "without case",
    )
    box.write({"many.txt": b"needle\n" * 20})
    found, more = box.search("needle", max_matches=5)
    same(([match.line for match in found], more), ([1, 2, 3, 4, 5], True), "a bounded search")
    same(box.search("no such text"), ((), False), "a search for what is not there")


def bounds_what_a_search_finds(box: Sandbox) -> None:
    """Give no match beyond the thousandth, no more than 400 bytes of a line, and case folding for ASCII alone."""
    box.write(
        {
            "long.txt": b"start " + b"x" * 1000,
            "many.txt": b"needle\n" * 1200,
            "other.txt": "GRÖSSE".encode(),
        }
    )
    found, more = box.search("needle", max_matches=5000)
    same((len(found), more), (1000, True), "a search for more than a thousand lines")
    same([len(match.text) for match in box.search("start")[0]], [400], "the length of a long line")
    same(
        box.search("größe", ignore_case=True),
        ((), False),
        "a search that would fold more than ASCII letters",
    )
    same(len(box.search("grÖsse", ignore_case=True)[0]), 1, "a search that folds ASCII letters")


def sees_every_change(box: Sandbox) -> None:
    """Report what a command created, changed or deleted, even where it hid it, and nothing else."""
    box.write({"same.txt": b"same", "hidden.txt": b"1234", "gone.txt": b"", "untouched.txt": b"u"})
    script = """
touch -r hidden.txt stamp && printf 5678 > hidden.txt && touch -r stamp hidden.txt && rm stamp gone.txt
printf same > same.txt; mkdir -p new/dir; printf made > new/dir/made.txt; touch -d '2001-01-01' untouched.txt"""
    changes = box.run([Job("script", ("sh", "-c", script))]).changes
    digest = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("5678", "made")}
    wanted = (
        Change("gone.txt", -1, ""),
        Change("hidden.txt", 4, digest["5678"]),
        Change("new/dir/made.txt", 4, digest["made"]),
    )
    same(changes, wanted, "the changes")
    same(box.read("new/dir/made.txt")[0], b"made", "a file that a command made")


def stays_whole_when_it_is_full(box: Sandbox) -> None:
    """Refuse a write for which there is no room, and leave the files as they are."""
    box.write({"kept.txt": b"old"})
    fill = "import os\nfor n in range(100):\n    with open(f'fill{n}', 'wb') as f: f.write(os.urandom(1 << 20) * 16)\n"
    holds(not python(box, fill).succeeded, "a command cannot write more than the store's size")
    refused(
        lambda: box.write({"kept.txt": b"x" * 3_000_000, "new/more.txt": b"x" * 3_000_000}),
        "a write to a full store",
    )
    same(box.read("kept.txt")[0], b"old", "a file of the full store")
    holds(
        not any(entry.path.startswith("new") for entry in box.files()),
        "nothing of the refused write is there",
    )
    box.delete([entry.path for entry in box.files()])
    box.write({"again.txt": b"x" * 3_000_000})


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
