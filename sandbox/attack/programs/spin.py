"""Compute in four processes for a while; print progress and throttling.

The progress counts, not a runtime's report of processor time. Without a number of seconds, compute
without end.
"""

import json
import os
import sys
import time


def throttled():
    for path in (
        "/sys/fs/cgroup/cpu.stat",
        "/sys/fs/cgroup/cpu/cpu.stat",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
    ):
        if os.path.exists(path):
            with open(path) as file:
                return int(dict(line.split() for line in file).get("nr_throttled", "0"))
    return None


seconds = float(sys.argv[1])
before = throttled()
reading, writing = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        end = time.monotonic() + seconds
        rounds = 0
        while not seconds or time.monotonic() < end:
            sum(range(10_000))
            rounds += 1
        os.write(writing, b"%d\n" % rounds)
        os._exit(0)
os.close(writing)
for _ in range(4):
    os.wait()
with os.fdopen(reading, "rb") as pipe:
    rounds = sum(int(line) for line in pipe)
print(json.dumps({"rounds": rounds, "throttled": None if before is None else throttled() - before}))
