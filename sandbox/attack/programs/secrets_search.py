"""Search environments, command lines and files for a text, given backwards."""

import json
import os
import sys

needle = bytes.fromhex(sys.argv[1])[::-1]
found = []


def look(path):
    try:
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 1 << 20:
            return
        with open(path, "rb") as file:
            if needle in file.read(1 << 20):
                found.append(path)
    except OSError:
        pass


for process in os.listdir("/proc"):
    if process.isdigit():
        look(f"/proc/{process}/environ")
        look(f"/proc/{process}/cmdline")
for top in (
    "/workspace",
    "/tmp",
    "/dev/shm",
    "/etc",
    "/run",
    "/opt/l2mac/lib",
    "/root",
    "/home",
    "/var/tmp",
):
    for folder, _, names in os.walk(top):
        for name in names:
            look(os.path.join(folder, name))
print(json.dumps(found))
