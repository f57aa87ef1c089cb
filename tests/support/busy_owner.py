"""A process that opens a sandbox and works in it until it is killed.

    busy_owner.py ENGINE IMAGE_ID RUN

It prints `open ID` once the sandbox is verified. Its commands leave processes behind on purpose,
in sessions of their own.
"""

import sys

from own_engine import loaded_image

from sandbox import Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.reaper import reap

address, image_id, run = sys.argv[1:]
engine = Engine.connect({"DOCKER_HOST": address})
reap(engine)  # as every run does when it starts
policy = SandboxPolicy(cpus=0.5, lease_s=5, disk_bytes=16 << 20)
sandbox = DockerSandbox(engine, loaded_image(engine, image_id), policy, run=run).open()
sys.stdout.write(f"open {sandbox.container}\n")
sys.stdout.flush()
while True:
    sandbox.write({"a.py": b"print(1)\n"})
    sandbox.run([Job("busy", ("sh", "-c", "setsid sleep 300 & sleep 0.3; python3 a.py"))])
