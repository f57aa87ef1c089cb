"""A process that opens a box and then waits, works or opens more, until somebody kills it.

python lease_holder.py IMAGE RUN idle|busy [LEASE_S]
"""

import sys
import time
from pathlib import Path

from sandbox import Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import prepare_image


def main() -> None:
    reference, run, mode, *rest = sys.argv[1:]
    engine = Engine.connect()
    image = prepare_image(engine, reference, Path("~/.cache/l2mac").expanduser(), lambda _: None)
    policy = SandboxPolicy(cpus=1.0, lease_s=float(rest[0]) if rest else 45.0)
    box = DockerSandbox(engine, image, policy, run=run).open()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    if mode == "busy":
        box.run([Job("busy", argv=("sh", "-c", "setsid sleep 300 & while :; do :; done"))])
    time.sleep(300)


if __name__ == "__main__":
    main()
