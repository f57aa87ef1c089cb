"""Make a sparse file of a terabyte; print the error number, 0 for success."""

import json
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.open("sparse", os.O_CREAT | os.O_WRONLY)
try:
    os.ftruncate(fd, 1 << 40)
    answer = 0
except OSError as error:
    answer = error.errno
os.unlink("sparse")
print(json.dumps(answer))
