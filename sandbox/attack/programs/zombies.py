"""Leave thirty processes without a parent, or print how many zombies there are."""

import json
import os
import sys
import time

if sys.argv[1] == "look":
    time.sleep(0.3)
    states = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    states.append(file.read().rpartition(")")[2].split()[0])
            except OSError:
                continue
    print(json.dumps(states.count("Z")))
    raise SystemExit
if os.fork() == 0:
    for _ in range(30):
        if os.fork() == 0:
            time.sleep(0.2)
            os._exit(0)
    os._exit(0)
print(json.dumps("left"))
