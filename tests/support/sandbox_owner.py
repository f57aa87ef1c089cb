"""A process that opens boxes and waits to be killed: `box_holder.py IMAGE RUN BOXES [SECONDS]`.

Says `opening` before it opens them and `open ID ...` after; with SECONDS it then runs a command that long in each.
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
boxes = [DockerSandbox(engine, image, policy, run=run) for _ in range(int(count))]
sys.stdout.write("opening\n")
sys.stdout.flush()
openers = [threading.Thread(target=box.open) for box in boxes]
for opener in openers:
    opener.start()
for opener in openers:
    opener.join()
sys.stdout.write(f"open {' '.join(box.container for box in boxes)}\n")
sys.stdout.flush()
if seconds:
    for box in boxes:
        threading.Thread(
            target=box.run, args=([Job("wait", ("sleep", seconds[0]))],), daemon=True
        ).start()
time.sleep(300)
