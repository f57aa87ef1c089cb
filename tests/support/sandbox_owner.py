"""A process that opens sandboxes and waits to be killed.

    sandbox_owner.py IMAGE RUN COUNT [SECONDS]

It prints `opening` before it opens them and `open ID ...` afterwards. With SECONDS it then runs a
command of that length in each.
"""

import sys
import threading
import time
from pathlib import Path

from sandbox import Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import prepare_image

reference, run, count, *seconds = sys.argv[1:]
engine = Engine.connect()
image = prepare_image(engine, reference, Path("unused"), print)
policy = SandboxPolicy(cpus=0.5, lease_s=3, disk_bytes=16 << 20)
sandboxes = [DockerSandbox(engine, image, policy, run=run) for _ in range(int(count))]
sys.stdout.write("opening\n")
sys.stdout.flush()
openers = [threading.Thread(target=sandbox.open) for sandbox in sandboxes]
for opener in openers:
    opener.start()
for opener in openers:
    opener.join()
sys.stdout.write(f"open {' '.join(sandbox.container for sandbox in sandboxes)}\n")
sys.stdout.flush()
if seconds:
    for sandbox in sandboxes:
        threading.Thread(
            target=sandbox.run, args=([Job("wait", ("sleep", seconds[0]))],), daemon=True
        ).start()
time.sleep(300)
