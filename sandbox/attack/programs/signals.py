"""Send every signal to process 1 and the checkers, or to a control process.

Prints whether the ordinary process is gone, or else that all signals were sent.
"""

import json
import os
import signal
import subprocess
import sys

if sys.argv[1] == "ordinary":
    victim = subprocess.Popen(["sleep", "20"])
    os.kill(victim.pid, signal.SIGKILL)
    print(json.dumps(victim.wait(5) < 0))
    raise SystemExit
targets = [1] if sys.argv[1] == "guest" else []
for name in os.listdir("/proc") if sys.argv[1] == "checker" else ():
    try:
        with open(f"/proc/{name}/cmdline", "rb") as file:
            if name.isdigit() and file.read().endswith(b"\0zygote\0"):
                targets.append(int(name))
    except OSError:
        continue
for target in targets:
    for number in (*range(1, 32), 34, 64):
        try:
            os.kill(target, number)
            os.kill(target, signal.SIGCONT)
        except OSError:
            pass
print(json.dumps("sent"))
