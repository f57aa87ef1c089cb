"""Make a pipe, a socket and a device named like sources; print successes."""

import json
import os
import socket
import stat

made = []
for name, make in (
    ("pipe.py", lambda: os.mkfifo("pipe.py")),
    ("device.py", lambda: os.mknod("device.py", stat.S_IFCHR | 0o600, os.makedev(1, 3))),
    ("socket.py", lambda: socket.socket(socket.AF_UNIX).bind("socket.py")),
):
    try:
        make()
        made.append(name)
    except OSError:
        pass
print(json.dumps(made))
