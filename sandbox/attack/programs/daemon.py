"""Leave a daemon that ignores signals and writes, or print whether it does."""

import json
import os
import signal
import sys
import time

if sys.argv[1] == "look":
    size = os.path.getsize("/workspace/beats")
    time.sleep(0.7)
    print(json.dumps(os.path.getsize("/workspace/beats") > size))
    raise SystemExit
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        for fd in (0, 1, 2):
            os.close(fd)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open("/workspace/beats", "a") as file:
                file.write("x")
            time.sleep(0.1)
    os._exit(0)
time.sleep(0.5)
print(json.dumps("left"))
