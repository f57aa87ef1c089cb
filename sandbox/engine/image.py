"""Build the sandbox's image on a base image; its tag hashes the content."""

import contextlib
import hashlib
import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import docker.errors
import requests

from sandbox.engine.connection import Engine, JsonObject, engine_errors
from sandbox.engine.wheels import fetch_wheels
from sandbox.errors import ImageBuildFailed, ImageUnavailable

REPOSITORY = "l2mac-sandbox"
IMAGE_LABEL = "org.l2mac.image"
_PULL_S = 1800
# The engine colours the lines that a build step writes to its standard error.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BUILD_S = 900
_LOADERS = re.compile(r"LD_\w+|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_\w+")
_GUEST_MODULES = ("protocol.py", "paths.py")

ProgressCallback = Callable[[str], None]

_PULL_HINT = (
    "Check the name and the registry. Without a registry, build a base image from distribution"
    " packages with `l2mac images offline-base | sh` and use --image l2mac-base:latest."
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The user's image, pinned.

    Attributes:
        reference: The name that the user gave.
        id: The engine's id.
        digest: The registry's digest; empty if there is none.
        architecture: The processor architecture.
        environment: Variables that the image sets, as `NAME=value`.
    """

    reference: str
    id: str
    digest: str
    architecture: str
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxImage:
    """An image that sandboxes can start from."""

    base: BaseImage
    tag: str
    id: str


def prepare_image(
    engine: Engine, reference: str, cache: Path, progress: ProgressCallback
) -> SandboxImage:
    """Return the sandbox image for a base image, and build it if it is missing.

    Args:
        engine: The engine that holds the images.
        reference: The base: any local or pullable image.
        cache: Folder for the checkers' wheels.
        progress: Function for one line of text, called before each slow step.

    Raises:
        ImageUnavailable: The base is missing and cannot be pulled, or lacks a required program.
        ImageBuildFailed: The build failed for another reason.
    """
    base = resolve_base(engine, reference, progress)
    recipe = recipe_folder("python")
    context = {f"lib/{name}": content for name, content in guest_files().items()}
    for name in ("Dockerfile", "install", "strip", "checkers.txt"):
        context[name] = (recipe / name).read_bytes()
    tag = f"{REPOSITORY}:python-{_content_hash(base.id, context)}"
    sandbox_id = _image_id(engine, tag)
    if sandbox_id is None:
        progress(f"building the sandbox's image on {reference} (once for each base image)")
        for wheel in fetch_wheels(recipe / "checkers.txt", cache):
            context[f"wheels/{wheel.name}"] = wheel.read_bytes()
        _build(engine, base, tag, context)
        sandbox_id = _image_id(engine, tag)
        if sandbox_id is None:
            raise ImageBuildFailed(f"The engine built {tag} but does not have it. Try again.")
    return SandboxImage(base, tag, sandbox_id)


def resolve_base(engine: Engine, reference: str, progress: ProgressCallback) -> BaseImage:
    """Find the base image or pull it, and pin it.

    Raises:
        ImageUnavailable: The base is missing and cannot be pulled, or it has forbidden properties.
    """
    facts = _inspect(engine, reference)
    if facts is None:
        progress(f"pulling {reference}")
        _pull(engine, reference)
        facts = _inspect(engine, reference)
        if facts is None:
            raise ImageUnavailable(
                f"The engine pulled {reference} but does not have it. Check the name and its tag."
            )
    _require_plain(reference, facts)
    digests = facts.get("RepoDigests") or []
    digest = digests[0].partition("@")[2] if digests else ""
    environment = tuple((facts.get("Config") or {}).get("Env") or ())
    return BaseImage(reference, facts["Id"], digest, facts["Architecture"], environment)


def _require_plain(reference: str, facts: JsonObject) -> None:
    """Refuse properties of an image that a create request cannot override.

    A create request replaces the image's entry point, command, user, folder and health check. Its
    variables reach only the guest, which ignores those of Python; a loader's variables would take
    effect before the guest's first instruction.
    """
    config = facts.get("Config") or {}
    names = [str(entry).partition("=")[0] for entry in config.get("Env") or ()]
    forbidden: dict[str, list[str]] = {
        "declares volumes, writable places beside the file store": sorted(
            config.get("Volumes") or ()
        ),
        "has ONBUILD steps, which would run in the build of the sandbox's image": list(
            config.get("OnBuild") or ()
        ),
        "sets variables that change what every program loads": sorted(
            filter(_LOADERS.fullmatch, names)
        ),
    }
    for problem, found in forbidden.items():
        if found:
            raise ImageUnavailable(
                f"{reference} cannot be a base image: it {problem} ({', '.join(found)})."
                " Choose an image without them, or build one from it with `docker export` and"
                " `docker import`."
            )


def recipe_folder(name: str) -> Path:
    """Return a recipe's folder, from an installed wheel or a checkout."""
    package = Path(str(resources.files("sandbox")))
    packaged = package / "images" / name
    return packaged if packaged.is_dir() else package.parent / "images" / name


def guest_files() -> dict[str, bytes]:
    """Return the container's code: path below /opt/l2mac/lib → content."""
    package = Path(str(resources.files("sandbox")))
    files = {
        "__main__.py": (package / "container_main.py").read_bytes(),
        "sandbox/__init__.py": b"",
    }
    files |= {f"sandbox/{name}": (package / name).read_bytes() for name in _GUEST_MODULES}
    for room in ("guest", "checkers"):
        for path in sorted((package / room).glob("*.py")):
            files[f"sandbox/{room}/{path.name}"] = path.read_bytes()
    return files


def remove_sandbox_images(engine: Engine) -> int:
    """Remove every image that l2mac built and no container uses; return their number."""
    removed = 0
    with engine_errors("listing the sandboxes' images"):
        for image in engine.api.images(filters={"label": IMAGE_LABEL}):
            try:
                engine.api.remove_image(image["Id"], force=True)
                removed += 1
            except docker.errors.APIError:
                continue
    return removed


def _inspect(engine: Engine, reference: str) -> JsonObject | None:
    try:
        with engine_errors(f"looking for the image {reference}"):
            facts = engine.api.inspect_image(reference)  # type: ignore[no-untyped-call] # no stub
            return dict(facts)
    except Exception as error:
        if isinstance(error.__cause__, docker.errors.ImageNotFound):
            return None
        raise


def _image_id(engine: Engine, tag: str) -> str | None:
    facts = _inspect(engine, tag)
    return None if facts is None else str(facts["Id"])


def _pull(engine: Engine, reference: str) -> None:
    name, _, tag = reference.partition("@") if "@" in reference else _split_tag(reference)
    failure = ""
    failure = ""
    try:
        for event in engine.api.pull(name, tag=tag or "latest", stream=True, decode=True):
            failure = str(event.get("error", "")) or failure
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        failure = str(getattr(error, "explanation", None) or error)
    if failure:
        raise ImageUnavailable(
            f"The image {reference} is missing and cannot be pulled ({failure.strip()})."
            f" {_PULL_HINT}"
        )


def _split_tag(reference: str) -> tuple[str, str, str]:
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    return head + slash + name, colon, tag


def _content_hash(base_id: str, context: dict[str, bytes]) -> str:
    digest = hashlib.sha256(base_id.encode())
    for name, content in sorted(context.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:20]


def _build(engine: Engine, base: BaseImage, tag: str, context: dict[str, bytes]) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in sorted(context.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    archive.seek(0)
    log: list[str] = []
    failure = ""
    with engine_errors("building the sandbox's image"):
        events = engine.api.build(
            fileobj=archive,
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            network_mode="none",
            timeout=_BUILD_S,
            buildargs={"BASE": base.id, "TAG": tag},
            labels={
                IMAGE_LABEL: "1",
                "org.l2mac.base": base.reference,
                "org.l2mac.base-id": base.id,
            },
        )
        for event in events:
            log.append(str(event.get("stream", "")))
            failure = str(event.get("error", "")) or failure
        _remove_stages(engine, tag)
    if failure and _image_id(engine, tag) is None:
        _raise_build_failure(base, "".join(log), failure)


def _remove_stages(engine: Engine, tag: str) -> None:
    stages = engine.api.images(filters={"label": f"org.l2mac.stage={tag}", "dangling": True})
    for stage in stages:
        # Another process may be building the same image and still use the stage.
        with contextlib.suppress(docker.errors.APIError):
            engine.api.remove_image(stage["Id"])


def _raise_build_failure(base: BaseImage, log: str, failure: str) -> None:
    log = _COLOUR.sub("", log)
    reasons = [line for line in log.splitlines() if line.startswith("l2mac: ")]
    if reasons:
        reason = reasons[-1].removeprefix("l2mac: ")
        raise ImageUnavailable(f"{base.reference} cannot be a base image: {reason}")
    tail = " | ".join(line for line in log.splitlines()[-4:] if line)
    raise ImageBuildFailed(
        f"The sandbox's image could not be built on {base.reference}: {failure.strip()} ({tail})"
    )
