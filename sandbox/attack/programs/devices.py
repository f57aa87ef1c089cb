"""Print devices beyond the usual ones, and devices that can be opened or made."""

import json
import os
import stat

usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "net"}
found = []
for folder, _, names in os.walk("/dev"):
    for name in names:
        mode = os.lstat(os.path.join(folder, name)).st_mode
        if (
            (stat.S_ISBLK(mode) or stat.S_ISCHR(mode))
            and name not in usual
            and not folder.startswith("/dev/pts")
        ):
            found.append(os.path.join(folder, name))
for folder in ("/workspace", "/tmp", "/dev/shm"):
    for kind, number in (
        (stat.S_IFCHR, os.makedev(1, 3)),
        (stat.S_IFBLK, os.makedev(7, 0)),
        (stat.S_IFIFO, 0),
    ):
        path = f"{folder}/l2mac-attack-node"
        try:
            os.mknod(path, kind | 0o600, number)
            found.append(f"{folder}: {kind:o}")
            os.unlink(path)
        except OSError:
            pass
print(json.dumps(found))
