"""Compute in four processes for a while; print the processor time used and how often the kernel throttled them.

Without a number of seconds, compute for ever.
"""

import json
import os
import resource
import sys
import time


def throttled():
    for path in ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat", "/sys/fs/cgroup/cpu,cpuacct/cpu.stat"):
        if os.path.exists(path):
            with open(path) as file:
                return dict(line.split() for line in file).get("nr_throttled", "0")
    return None


seconds = float(sys.argv[1])
before = throttled()
for _ in range(4):
    if os.fork() == 0:
        end = time.monotonic() + seconds
        while not seconds or time.monotonic() < end:
            pass
        os._exit(0)
started = time.monotonic()
for _ in range(4):
    os.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps(
        {
            "used": used.ru_utime + used.ru_stime,
            "wall": time.monotonic() - started,
            "throttled": None if before is None else int(throttled()) - int(before),
        }
    )
)
