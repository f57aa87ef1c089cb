"""Allocate memory, megabyte by megabyte, up to a number; print the megabytes."""

import json
import sys

hoard = []
try:
    for _ in range(int(sys.argv[1])):
        hoard.append(bytearray(b"x") * (1 << 20))
except MemoryError:
    pass
print(json.dumps(len(hoard)))
