"""Make files with names that harm terminals and shells; print the count."""

import json
import os

names = [
    b"new\nline.py", b"\x1b[31mred\x1b]0;title\x07.py", b"re\rturn.py",
    "right\u202eyp.exe.py".encode(), b"\xff\xfe.py",
    b"-rf", b"--help.py", b"x" * 255, b"CON", b"aux.py", b"dot.", b" space", "e\u0301.py".encode(),
    b"a:b", b"a\\b",
    b"$(id).py", b"*.py", b".l2mac-part",
]  # fmt: skip
for name in names:
    with open(name, "wb"):
        pass
print(json.dumps(len([name for name in os.listdir(b".") if name in names])))
