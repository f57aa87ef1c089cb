"""Whether an engine can confine a box at all, by what it says of itself: asked before anything is built or started.

What it says is not believed either: the receipt compares what each box really got, and `sandbox.engine.trial` sees
whether limits bind where a box cannot read them. This only says sooner, and in one sentence, what cannot work.
"""

from collections.abc import Iterator
from typing import Any

from sandbox.errors import EngineUnfit

_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsPeriod": "processor time",
    "CpuCfsQuota": "processor time",
}
# Arguments of runc, crun and runsc that loosen nothing. Any other may: an engine's inspect never shows them.
_HARMLESS = frozenset(
    "cgroup-manager debug debug-log debug-log-format file-access log log-format network=none network=sandbox"
    " num-network-channels oci-seccomp overlay overlay2 panic-log platform root strace systemd-cgroup vfs2"
    " watchdog-action".split()
)


def require_fit(info: dict[str, Any], version: dict[str, Any], runtime: str | None) -> None:
    """See that the engine and a runtime of it, its default when empty, offer what a box needs; without one, the engine.

    Raises:
        EngineUnfit: It does not; says what is missing and what to do.
    """
    for reason in (
        *shortcomings(info, version),
        *(() if runtime is None else _of_runtime(info, runtime)),
    ):
        raise EngineUnfit(f"this engine cannot confine a box: {reason}")


def shortcomings(info: dict[str, Any], version: dict[str, Any]) -> list[str]:
    """Give why the engine cannot confine a box under whatever runtime, each reason with what to do about it."""
    return [*_of_kind(info, version), *_of_limits(info), *_of_seccomp(info)]


def loosening(info: dict[str, Any], runtime: str) -> list[str]:
    """Give the arguments that the engine passes to a runtime and that are not known to be harmless.

    `--ignore-cgroups` is the worst of them: no limit binds then, whatever inspect says.
    """
    arguments = ((info.get("Runtimes") or {}).get(runtime) or {}).get("runtimeArgs") or []
    return [argument for argument in map(str, arguments) if not _is_harmless(argument)]


def _of_kind(info: dict[str, Any], version: dict[str, Any]) -> Iterator[str]:
    system = info.get("OSType")
    if system != "linux":
        yield f"its containers are {system or 'of an unknown kind'}, not Linux; switch it to Linux containers"
    if any(
        "podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or []
    ):
        yield (
            "it is Podman, whose Docker-compatible API takes no seccomp profile with a container, so that a box would"
            " not run under its own; set DOCKER_HOST to a Docker Engine"
        )


def _of_limits(info: dict[str, Any]) -> Iterator[str]:
    unlimited = list(
        dict.fromkeys(text for name, text in _LIMITS.items() if info.get(name) is not True)
    )
    if not unlimited:
        return
    if "name=rootless" in (info.get("SecurityOptions") or ()):
        todo = "a rootless engine needs control groups v2 with cpu, memory and pids delegated to its user"
    else:
        todo = "enable these control groups in its kernel, then restart it"
    yield f"it does not limit {', '.join(unlimited)}; {todo}, or set DOCKER_HOST to another engine"


def _of_seccomp(info: dict[str, Any]) -> Iterator[str]:
    options = [
        option
        for option in info.get("SecurityOptions") or ()
        if option.split(",")[0] == "name=seccomp"
    ]
    if not options:
        yield "it has no seccomp; use a kernel with CONFIG_SECCOMP_FILTER and an engine that is built with it"
    elif any("profile=unconfined" in option.split(",") for option in options):
        yield (
            "its own seccomp default is 'unconfined', under which images are built; remove seccomp-profile from its"
            " configuration and restart it"
        )


def _of_runtime(info: dict[str, Any], runtime: str) -> Iterator[str]:
    name = runtime or str(info.get("DefaultRuntime") or "")
    arguments = loosening(info, name)
    if arguments:
        yield (
            f"it starts the runtime {name!r} with {' '.join(arguments)}, which may turn limits off; remove that from"
            " its configuration and restart it"
        )


def _is_harmless(argument: str) -> bool:
    """Whether an argument, with its value or without, is on the list; a switch may also be off."""
    if not argument.startswith("-"):
        return False
    name, separator, value = argument.lstrip("-").partition("=")
    return (
        name in _HARMLESS
        or f"{name}{separator}{value}" in _HARMLESS
        or (name == "ignore-cgroups" and value == "false")
    )
