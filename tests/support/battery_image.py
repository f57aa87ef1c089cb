"""The sandbox's image with numpy, ruff and pytest-xdist, for tests alone.

Their binary wheels are downloaded by hash.
"""

import hashlib
import io
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

from sandbox.engine.connection import Engine
from sandbox.engine.image import SandboxImage

LOCK = Path(__file__).with_name("batteries.txt")
REPOSITORY = "l2mac-test-batteries"
_DOCKERFILE = """
FROM {base}
USER 0:0
COPY wheels /wheels
COPY unpack.py /
RUN ["/opt/l2mac/bin/python", "/unpack.py"]
USER 10001:10001
"""
_UNPACK = b"""
import glob, os, shutil, zipfile
os.makedirs("/opt/batteries/lib")
for library in glob.glob("/wheels/*.so.*"):
    shutil.copy(library, "/opt/batteries/lib")
for wheel in glob.glob("/wheels/*.whl"):
    zipfile.ZipFile(wheel).extractall("/opt/batteries")
for script in glob.glob("/opt/batteries/*.data/scripts/*"):
    os.chmod(script, 0o755)
"""


def with_batteries(engine: Engine, image: SandboxImage, cache: Path) -> SandboxImage:
    """Return an image with the packages below /opt/batteries, built once for each image."""
    key = hashlib.sha256(LOCK.read_bytes() + image.id.encode() + _DOCKERFILE.encode()).hexdigest()[
        :16
    ]
    tag = f"{REPOSITORY}:{key}"
    if not engine.api.images(name=tag):
        context = {"Dockerfile": _DOCKERFILE.format(base=image.tag).encode(), "unpack.py": _UNPACK}
        context |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in _wheels(cache)}
        # The C++ runtime, which numpy takes from the system and an offline base leaves out.
        for name in ("libstdc++.so.6", "libgcc_s.so.1"):
            context |= {
                f"wheels/{name}": found.read_bytes()
                for found in Path("/usr/lib").glob(f"*-linux-gnu/{name}")
            }
        for _ in engine.api.build(
            fileobj=_packed(context), custom_context=True, tag=tag, rm=True, decode=True
        ):
            pass
    (made,) = engine.api.images(name=tag)
    return SandboxImage(image.base, tag, made["Id"])


def _wheels(cache: Path) -> list[Path]:
    folder = cache / f"batteries-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not folder.is_dir():
        command = [
            sys.executable,
            "-I",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
        ]
        command += [
            "--require-hashes",
            "--python-version",
            "3.11",
            "--platform",
            "any",
            "--dest",
            str(folder),
        ]
        for tag in ("manylinux2014", "manylinux_2_27", "manylinux_2_28"):
            command += ["--platform", f"{tag}_{platform.machine()}"]
        subprocess.run([*command, "--requirement", str(LOCK)], check=True, timeout=600)
    return sorted(folder.glob("*.whl"))


def _packed(files: dict[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed
