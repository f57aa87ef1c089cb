"""Try every way to another identity; print successes and identity files."""

import ctypes
import json
import os
import stat

ours = os.getuid()

became = []
for call, arguments in (
    (os.setuid, (0,)),
    (os.setgid, (0,)),
    (os.setresuid, (0, 0, 0)),
    (os.setgroups, ([0],)),
):
    try:
        call(*arguments)
        became.append(call.__name__)
    except OSError:
        pass
libc = ctypes.CDLL(None)
if libc.prctl(47, 2, 7, 0, 0) == 0:
    became.append("an ambient capability")
if libc.prctl(38, 0, 0, 0, 0) == 0:
    became.append("new privileges")
lending = []
for folder in ("/workspace", "/tmp", "/dev/shm", "/opt"):
    try:
        path = f"{folder}/l2mac-attack-setuid"
        with open(path, "w"):
            os.chmod(path, 0o4755)
    except OSError:
        continue
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        continue
    flags = os.statvfs(folder).f_flag
    for name in names:
        path = os.path.join(folder, name)
        mode, owner = os.lstat(path).st_mode, os.lstat(path).st_uid
        if owner == ours != 0:  # who runs it gains nothing
            continue
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID) and not flags & os.ST_NOSUID:
            lending.append(path)
print(json.dumps({"became": became, "lending": lending}))
