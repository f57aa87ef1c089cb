"""Plant links out of the store, one of them swapped, or follow them."""

import json
import os
import sys
import time

targets = {
    "passwd.py": "/etc/passwd", "environ.py": "/proc/self/environ", "root": "/proc/1/root",
    "folder": "/etc",
    "dangling.py": "/nowhere", "loop.py": "loop.py",
}  # fmt: skip
for name, target in targets.items():
    os.symlink(target, name)
if sys.argv[1] == "swap":
    end = time.monotonic() + 1
    while time.monotonic() < end:
        os.symlink("/etc/passwd", "next")
        os.rename("next", "swapped.py")
        with open("next", "w") as file:
            file.write("harmless = True\n")
        os.rename("next", "swapped.py")
with open("passwd.py") as file:
    print(json.dumps(file.read()[:4]))
