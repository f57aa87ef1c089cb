"""Print kernel and control group files that open for writing; write nothing."""

import json
import os

paths = [
    "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname",
    "/proc/sys/vm/drop_caches",
    "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/modprobe", "/proc/sys/fs/binfmt_misc/register",
]  # fmt: skip
paths += [
    f"/sys/fs/cgroup/{name}"
    for name in (
        "release_agent", "memory/release_agent", "cgroup.procs", "memory/memory.limit_in_bytes",
        "pids/pids.max",
        "devices/devices.allow", "memory.max", "pids.max",
    )
]  # fmt: skip
opened = []
for path in paths:
    try:
        os.close(os.open(path, os.O_WRONLY))
        opened.append(path)
    except OSError:
        pass
print(json.dumps(opened))
