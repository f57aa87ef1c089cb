"""Check an engine's fitness to confine, by its own description.

This check runs before anything is built or started, so that the cause is named early and in one
sentence. Nothing relies on it: the receipt compares the confinement that each sandbox really got,
and `sandbox.engine.trial` shows whether limits bind where a sandbox cannot read them.
"""

from collections.abc import Iterator, Mapping

from sandbox.errors import EngineUnfit

_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsPeriod": "processor time",
    "CpuCfsQuota": "processor time",
}
# Arguments of runc, crun and runsc that weaken nothing. Any other may: inspect never shows them.
_HARMLESS = frozenset(
    (
        "cgroup-manager debug debug-log debug-log-format file-access log log-format network=none"
        " network=sandbox num-network-channels oci-seccomp overlay overlay2 panic-log platform root"
        " strace systemd-cgroup vfs2 watchdog-action"
    ).split()
)


def require_fit(
    info: Mapping[str, object], version: Mapping[str, object], runtime: str | None
) -> None:
    """Check that the engine and its runtime offer all that a sandbox needs.

    Args:
        info: The engine's description of itself.
        version: The engine's versions.
        runtime: Name of a runtime; empty for the engine's default, None for no check of a runtime.

    Raises:
        EngineUnfit: Something is missing; the message says what, and what to do.
    """
    reasons = shortcomings(info, version)
    if runtime is not None:
        reasons += _of_runtime(info, runtime)
    if reasons:
        raise EngineUnfit(f"This engine cannot confine a sandbox. {reasons[0]}")


def shortcomings(info: Mapping[str, object], version: Mapping[str, object]) -> list[str]:
    """Return why the engine cannot confine, each reason with the next step."""
    return [*_of_kind(info, version), *_of_limits(info), *_of_seccomp(info)]


def loosening(info: Mapping[str, object], runtime: str) -> list[str]:
    """Return the arguments of a runtime that may weaken confinement.

    The worst is `--ignore-cgroups`: with it no limit binds, although inspect shows all of them.
    """
    facts = _object(_object(info.get("Runtimes")).get(runtime))
    arguments = map(str, _list(facts.get("runtimeArgs")))
    return [argument for argument in arguments if not _is_harmless(argument)]


def _of_kind(info: Mapping[str, object], version: Mapping[str, object]) -> Iterator[str]:
    system = info.get("OSType")
    if system != "linux":
        kind = system or "unknown"
        yield f"The engine runs {kind} containers. Switch it to Linux containers."
    parts = map(_object, _list(version.get("Components")))
    names = [str(part.get("Name", "")).lower() for part in parts]
    if any("podman" in name for name in names):
        yield (
            "The engine is Podman, whose Docker-compatible API ignores a container's seccomp"
            " profile. Set DOCKER_HOST to a Docker Engine."
        )


def _of_limits(info: Mapping[str, object]) -> Iterator[str]:
    missing = dict.fromkeys(text for name, text in _LIMITS.items() if info.get(name) is not True)
    if not missing:
        return
    if "name=rootless" in _list(info.get("SecurityOptions")):
        step = "Delegate cpu, memory and pids of control groups v2 to the rootless engine's user"
    else:
        step = "Enable these control groups in the engine's kernel and restart it"
    yield (
        f"The engine does not limit {', '.join(missing)}. {step}, or set DOCKER_HOST to another"
        " engine."
    )


def _of_seccomp(info: Mapping[str, object]) -> Iterator[str]:
    options = [str(option).split(",") for option in _list(info.get("SecurityOptions"))]
    seccomp = [option for option in options if option[0] == "name=seccomp"]
    if not seccomp:
        yield (
            "The engine has no seccomp. Use a kernel with CONFIG_SECCOMP_FILTER and an engine that"
            " is built with seccomp."
        )
    elif any("profile=unconfined" in option for option in seccomp):
        yield (
            "The engine's default seccomp profile, which applies to image builds, is 'unconfined'."
            " Remove seccomp-profile from the engine's configuration and restart it."
        )


def _of_runtime(info: Mapping[str, object], runtime: str) -> Iterator[str]:
    name = runtime or str(info.get("DefaultRuntime") or "")
    arguments = loosening(info, name)
    if arguments:
        yield (
            f"The engine starts the runtime {name!r} with {' '.join(arguments)}, which may turn"
            " limits off. Remove these arguments from the engine's configuration and restart it."
        )


def _is_harmless(argument: str) -> bool:
    """Return whether an argument is on the list of harmless ones."""
    if not argument.startswith("-"):
        return False
    name, separator, value = argument.lstrip("-").partition("=")
    return (
        name in _HARMLESS
        or f"{name}{separator}{value}" in _HARMLESS
        or (name == "ignore-cgroups" and value == "false")
    )


def _object(value: object) -> Mapping[str, object]:
    """Return a JSON object; an empty one for an unset value.

    Raises:
        TypeError: The value is of another type, so nothing is known about the engine.
    """
    if not value:
        return {}
    if not isinstance(value, dict):
        raise TypeError("the engine's description of itself is malformed")
    return value


def _list(value: object) -> list[object]:
    """Return a JSON list; see `_object`."""
    if not value:
        return []
    if not isinstance(value, list):
        raise TypeError("the engine's description of itself is malformed")
    return value
