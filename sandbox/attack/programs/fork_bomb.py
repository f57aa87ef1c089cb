"""Fork without end into new sessions, or up to a limit; print the count."""

import json
import os
import signal
import sys
import time

most = int(sys.argv[1])
if not most:
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            pass
children = []
try:
    while len(children) < most:
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
        children.append(child)
except OSError:
    pass
print(json.dumps(len(children)), flush=True)
for child in children:
    os.kill(child, signal.SIGKILL)
