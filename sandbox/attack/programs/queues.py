"""Make System V and POSIX queues and shared memory; print those that were made."""

import ctypes
import json

libc = ctypes.CDLL(None, use_errno=True)
made = []
for name, identity in (
    ("shared memory", libc.shmget(0, 4096, 0o1600)),
    ("message queue", libc.msgget(0, 0o1600)),
    ("semaphore", libc.semget(0, 1, 0o1600)),
):
    if identity >= 0:
        made.append(name)
        {"shared memory": libc.shmctl, "message queue": libc.msgctl}.get(name, lambda *_: 0)(
            identity, 0, None
        )
        if name == "semaphore":
            libc.semctl(identity, 0, 0)
print(json.dumps(made))
