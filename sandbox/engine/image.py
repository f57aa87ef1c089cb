"""The box's image: a recipe layered on the user's base image, under a tag made of everything that is in it."""

import contextlib
import hashlib
import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import docker.errors
import requests

from sandbox.engine.connection import Engine, engine_errors
from sandbox.engine.wheels import fetch_wheels
from sandbox.errors import ImageBuildFailed, ImageUnavailable

REPOSITORY = "l2mac-box"
IMAGE_LABEL = "org.l2mac.image"
_PULL_S = 1800
_COLOUR = re.compile(
    r"\x1b\[[0-9;]*m"
)  # the engine colours what a build step writes to its standard error
_BUILD_S = 900
_LOADERS = re.compile(r"LD_\w+|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_\w+")
_GUEST_MODULES = ("protocol.py", "paths.py")

ProgressCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The user's image, pinned: `reference` as given, the engine's `id`, the registry's `digest` if it has one.

    `environment` has the variables that the image sets, as `NAME=value`.
    """

    reference: str
    id: str
    digest: str
    architecture: str
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxImage:
    """An image that boxes can start from."""

    base: BaseImage
    tag: str
    id: str


def prepare_image(
    engine: Engine, reference: str, cache: Path, progress: ProgressCallback
) -> SandboxImage:
    """Give the box image for a base image; builds it when this base has none yet.

    Args:
        engine: Where the images are.
        reference: The base: any local or pullable image.
        cache: Folder for the checkers' wheels.
        progress: Called with one line before each step that takes long.

    Raises:
        ImageUnavailable: The base is not here and cannot be pulled, or lacks what the recipe needs.
        ImageBuildFailed: The build failed for another reason.
    """
    base = resolve_base(engine, reference, progress)
    recipe = recipe_folder("python")
    context = {f"lib/{name}": content for name, content in guest_files().items()}
    context |= {
        name: (recipe / name).read_bytes()
        for name in ("Dockerfile", "install", "strip", "checkers.txt")
    }
    tag = f"{REPOSITORY}:python-{_content_hash(base.id, context)}"
    box_id = _image_id(engine, tag)
    if box_id is None:
        progress(f"building the box's image on {reference} (once for this image)")
        for wheel in fetch_wheels(recipe / "checkers.txt", cache):
            context[f"wheels/{wheel.name}"] = wheel.read_bytes()
        _build(engine, base, tag, context)
        box_id = _image_id(engine, tag)
        if box_id is None:
            raise ImageBuildFailed(f"the engine built {tag} but does not have it")
    return SandboxImage(base, tag, box_id)


def resolve_base(engine: Engine, reference: str, progress: ProgressCallback) -> BaseImage:
    """Find the base image here or pull it, and pin it.

    Raises:
        ImageUnavailable: It is neither here nor to be had, or says of itself what no box may have.
    """
    facts = _inspect(engine, reference)
    if facts is None:
        progress(f"pulling {reference}")
        _pull(engine, reference)
        facts = _inspect(engine, reference)
        if facts is None:
            raise ImageUnavailable(f"the engine pulled {reference} but does not have it")
    _require_plain(reference, facts)
    digests = facts.get("RepoDigests") or []
    digest = digests[0].partition("@")[2] if digests else ""
    environment = tuple((facts.get("Config") or {}).get("Env") or ())
    return BaseImage(reference, facts["Id"], digest, facts["Architecture"], environment)


def _require_plain(reference: str, facts: dict[str, Any]) -> None:
    """Refuse what an image brings that a create request cannot take from it.

    Its entry point, command, user, folder and health check are replaced, and its variables reach only the guest, which
    is deaf to Python's; a loader's would be heard before the guest's first instruction.
    """
    config = facts.get("Config") or {}
    names = [str(entry).partition("=")[0] for entry in config.get("Env") or ()]
    surprises = {
        "declares volumes, writable places beside the file store": sorted(
            config.get("Volumes") or ()
        ),
        "has ONBUILD steps, which would run in the build of the box's image": list(
            config.get("OnBuild") or ()
        ),
        "sets variables that change what every program loads": sorted(
            filter(_LOADERS.fullmatch, names)
        ),
    }
    for what, found in surprises.items():
        if found:
            raise ImageUnavailable(
                f"{reference} cannot carry a box: it {what} ({', '.join(found)}); choose an image without, or build"
                " one from it with `docker export` and `docker import`"
            )


def recipe_folder(name: str) -> Path:
    """Give the folder of a recipe: package data of an installed wheel, `images/` of a checkout."""
    packaged = Path(str(resources.files("sandbox"))) / "images" / name
    return (
        packaged
        if packaged.is_dir()
        else Path(str(resources.files("sandbox"))).parent / "images" / name
    )


def guest_files() -> dict[str, bytes]:
    """Give what runs inside the box: path below /opt/l2mac/lib → content."""
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


def remove_box_images(engine: Engine) -> int:
    """Remove every image that this project built and no container uses; gives how many went."""
    removed = 0
    with engine_errors("listing the boxes' images"):
        for image in engine.api.images(filters={"label": IMAGE_LABEL}):
            try:
                engine.api.remove_image(image["Id"], force=True)
                removed += 1
            except docker.errors.APIError:
                continue
    return removed


def _inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    try:
        with engine_errors(f"looking for the image {reference}"):
            facts: dict[str, Any] = engine.api.inspect_image(reference)  # type: ignore[no-untyped-call]
            return facts
    except Exception as error:
        if isinstance(error.__cause__, docker.errors.ImageNotFound):
            return None
        raise


def _image_id(engine: Engine, tag: str) -> str | None:
    facts = _inspect(engine, tag)
    return None if facts is None else str(facts["Id"])


def _pull(engine: Engine, reference: str) -> None:
    name, _, tag = reference.partition("@") if "@" in reference else _split_tag(reference)
    hint = (
        "check the name and the registry; where no registry answers, build a base from distribution packages with"
        " `l2mac images offline-base | sh` and use --image l2mac-base:latest"
    )
    failure = ""
    try:
        for event in engine.api.pull(name, tag=tag or "latest", stream=True, decode=True):
            failure = str(event.get("error", "")) or failure
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        failure = str(getattr(error, "explanation", None) or error)
    if failure:
        raise ImageUnavailable(
            f"the image {reference} is not here and cannot be pulled ({failure.strip()}); {hint}"
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
    with engine_errors("building the box's image"):
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
        for stage in engine.api.images(
            filters={"label": f"org.l2mac.stage={tag}", "dangling": True}
        ):
            with contextlib.suppress(
                docker.errors.APIError
            ):  # another process builds the same and still uses it
                engine.api.remove_image(stage["Id"])
    if failure and _image_id(engine, tag) is None:
        _raise_build_failure(base, "".join(log), failure)


def _raise_build_failure(base: BaseImage, log: str, failure: str) -> None:
    log = _COLOUR.sub("", log)
    reasons = [
        line.removeprefix("l2mac: ") for line in log.splitlines() if line.startswith("l2mac: ")
    ]
    if reasons:
        raise ImageUnavailable(f"{base.reference} cannot carry a box: {reasons[-1]}")
    tail = " | ".join(line for line in log.splitlines()[-4:] if line)
    raise ImageBuildFailed(
        f"the box's image could not be built on {base.reference}: {failure.strip()} ({tail})"
    )
