"""Make a hostile archive, or unpack it carelessly; print files outside."""

import io
import json
import os
import sys
import tarfile


def add(archive, name, content=b"x", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


with tarfile.open("hostile.tar", "w") as archive:
    add(archive, "../l2mac-attack-up")
    add(archive, "/tmp/l2mac-attack-absolute")
    add(archive, "link", b"", type=tarfile.SYMTYPE, linkname="/tmp")
    add(archive, "link/l2mac-attack-through")
    add(archive, "setuid", mode=0o4755)
    add(archive, "n" * 5000)
if sys.argv[1] == "unpack":
    os.mkdir("into")
    careless = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open("hostile.tar") as archive:
        for member in archive.getmembers():
            try:
                archive.extract(member, "into", **careless)
            except OSError:
                pass
outside = [
    path
    for path in ("l2mac-attack-up", "/tmp/l2mac-attack-absolute", "/tmp/l2mac-attack-through")
    if os.path.exists(path)
]
for path in outside:
    os.unlink(path)
print(json.dumps(outside))
