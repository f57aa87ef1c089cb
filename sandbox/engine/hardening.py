"""The whole confinement of a sandbox, from a policy to a create request.

Review starts here. Nothing else in this project decides what a container may do, and a golden test
shows every change of this function's result. Names are those of the Engine API's `POST
/containers/create`.
"""

import secrets
from dataclasses import dataclass

from sandbox.engine.connection import JsonObject
from sandbox.policy import PACKAGES, WORKSPACE, SandboxPolicy

# Within the range that a rootless engine maps, above the uids of services and people, below
# `nobody`.
FIRST_UID, LAST_UID = 10_001, 59_999
SCRATCH_INODES = 8192
PACKAGES_INODES = 65_536

GUEST_COMMAND = ("/opt/l2mac/bin/python", "-I", "-S", "-B", "/opt/l2mac/lib")
CHECKER_COMMAND = ("/opt/l2mac/venv/bin/python", "-I", "-B", "/opt/l2mac/lib", "zygote")

ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own tmpfs
    "LANG": "C.UTF-8",
    "PATH": "/opt/l2mac/venv/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own tmpfs
}

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Packages:
    """A volume of packages, either to create and fill or to mount read-only.

    Attributes:
        size_bytes: Maximum size of a volume that is to be created.
        volume: The engine's name of an existing volume.
        digest: Hash of the content of an existing volume.
    """

    size_bytes: int = 0
    volume: str = ""
    digest: str = ""


def fresh_uid() -> int:
    """Return a random uid, also used as gid, for a new sandbox.

    The kernel counts processes by uid across all containers: with one uid for all sandboxes, a fork
    bomb in one would make every fork in the others fail, because RLIMIT_NPROC knows no container.
    Two sandboxes that happen to get the same uid share only these counts.
    """
    return FIRST_UID + secrets.randbelow(LAST_UID + 1 - FIRST_UID)


def create_request(
    policy: SandboxPolicy,
    image_id: str,
    labels: dict[str, str],
    seccomp: str,
    uid: int,
    packages: Packages | None = None,
) -> JsonObject:
    """Return the body of the create request for a sandbox.

    Args:
        policy: The sandbox's limits.
        image_id: The sandbox image's id, never a tag.
        labels: The owner of the sandbox (`sandbox.engine.reaper`).
        seccomp: The profile's JSON text.
        uid: The user of every process in the sandbox (`fresh_uid`).
        packages: Packages in addition to the image's own.
    """
    return {
        "Image": image_id,
        "Entrypoint": list(GUEST_COMMAND),
        "Cmd": [],
        "WorkingDir": "/",
        "User": f"{uid}:{uid}",
        "Env": [f"{name}={value}" for name, value in sorted(ENVIRONMENT.items())],
        "Hostname": "sandbox",
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": labels,
        "HostConfig": {
            "AutoRemove": True,
            "Runtime": policy.runtime or None,
            "Privileged": False,
            "CapAdd": None,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp}"],
            "MaskedPaths": list(MASKED_PATHS),
            "ReadonlyPaths": list(READONLY_PATHS),
            "ReadonlyRootfs": True,
            "NetworkMode": "none",
            "IpcMode": "private",
            "PidMode": "",
            "UTSMode": "",
            "UsernsMode": "",
            "CgroupnsMode": "private",
            "Memory": policy.memory_bytes,
            "MemorySwap": policy.memory_bytes,
            "MemorySwappiness": None,
            "OomKillDisable": False,
            "PidsLimit": _host_threads(policy),
            "NanoCpus": int(policy.cpus * 1e9),
            "ShmSize": policy.shm_bytes,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "fsize", "Soft": policy.file_bytes, "Hard": policy.file_bytes},
                {"Name": "nofile", "Soft": policy.open_files, "Hard": policy.open_files},
                {"Name": "nproc", "Soft": user_processes(policy), "Hard": user_processes(policy)},
            ],
            "Tmpfs": {
                "/tmp": _tmpfs(policy.tmp_bytes, uid),  # noqa: S108 - inside
                "/dev/shm": _tmpfs(policy.shm_bytes, uid),  # noqa: S108 - inside
            },
            "Mounts": [_store(policy, labels, uid), *_packages(packages, labels, uid)],
            "Binds": None,
            "VolumesFrom": None,
            "Devices": [],
            "DeviceRequests": None,
            "DeviceCgroupRules": None,
            "Sysctls": {},
            "GroupAdd": None,
            "ExtraHosts": None,
            "PublishAllPorts": False,
            "PortBindings": {},
            "RestartPolicy": {"Name": "no"},
            "Init": False,
            "LogConfig": {"Type": "none", "Config": {}},
        },
    }


def user_processes(policy: SandboxPolicy) -> int:
    """Return RLIMIT_NPROC, which must not bind before the control group's limit.

    Only the control group counts the forks that it refuses.
    """
    return 2 * policy.pids


def _host_threads(policy: SandboxPolicy) -> int:
    """Return the number of threads that the sandbox may have on the engine's machine.

    gVisor's own threads count as well. gVisor keeps about ten for every process that has ever run
    at the same time, and it ends, with the sandbox, when it cannot start another. Processes inside
    are then bounded by memory and by this number.
    """
    gvisor = policy.runtime.startswith(("runsc", "gvisor"))
    return policy.pids * (16 if gvisor else 1)


def _store(policy: SandboxPolicy, labels: dict[str, str], uid: int) -> JsonObject:
    """Return the file store's volume, which goes with the container."""
    options: JsonObject = {"NoCopy": policy.volume == "tmpfs", "Labels": labels}
    if policy.volume == "tmpfs":
        caps = f"size={policy.disk_bytes},nr_inodes={policy.disk_inodes}"
        options["DriverConfig"] = {
            "Name": "local",
            "Options": {
                "type": "tmpfs",
                "device": "tmpfs",
                "o": f"{caps},{_owned_by(uid)},nosuid,nodev",
            },
        }
    return {"Type": "volume", "Target": WORKSPACE, "ReadOnly": False, "VolumeOptions": options}


def _packages(packages: Packages | None, labels: dict[str, str], uid: int) -> list[JsonObject]:
    """Return the mount of the packages' volume.

    The volume is anonymous in the sandbox that fills and holds it, and read-only in all others.
    """
    if packages is None:
        return []
    mount: JsonObject = {"Type": "volume", "Target": PACKAGES}
    if packages.volume:
        mount |= {"Source": packages.volume, "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}
        return [mount]
    caps = f"size={packages.size_bytes},nr_inodes={PACKAGES_INODES}"
    flags = f"{caps},uid={uid},gid={uid},mode=0755,nosuid,nodev"
    driver = {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": flags}}
    options = {"NoCopy": True, "Labels": labels, "DriverConfig": driver}
    return [{**mount, "ReadOnly": False, "VolumeOptions": options}]


def _tmpfs(size_bytes: int, uid: int) -> str:
    return f"rw,nosuid,nodev,noexec,size={size_bytes},nr_inodes={SCRATCH_INODES},{_owned_by(uid)}"


def _owned_by(uid: int) -> str:
    return f"uid={uid},gid={uid},mode=0700"
