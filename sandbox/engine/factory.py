"""Boxes for runs, on a Docker Engine: the only module of this package that knows what a box is made of."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

from sandbox import EngineUnavailable, Fetched, Installed, PackageIndex, Sandbox, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.fitness import require_fit
from sandbox.engine.image import SandboxImage, prepare_image, recipe_folder, remove_box_images
from sandbox.engine.packages import PackageLayer, fetch
from sandbox.engine.reaper import reap
from sandbox.engine.trial import AUTO, RuntimeChoice, choose_runtime, limits_are_seen, prove_limits
from sandbox.proxy import Proxy

_TRIAL = "trial"

T = TypeVar("T")


class SandboxFactory:
    """An engine, an image and a policy, from which boxes are made; use as a context manager.

    Args:
        engine: The engine; closed at the end.
        image: What boxes start from.
        policy: Their limits.
        choice: Which runtime was chosen of those that were tried, if any were.
        make_proxy: Gives the way to an index; a proxy of its own in every fetch.
    """

    def __init__(
        self,
        engine: Engine,
        image: SandboxImage,
        policy: SandboxPolicy,
        choice: RuntimeChoice | None = None,
        make_proxy: Callable[[PackageIndex], Proxy] = lambda index: Proxy(index.reach),
    ) -> None:
        self._engine = engine
        self.image = image
        self._policy = policy
        self._known: dict[str, Any] = _as_known(choice) if choice else {}
        self._make_proxy = make_proxy
        self._layer: PackageLayer | None = None

    @classmethod
    def prepare(
        cls, reference: str, policy: SandboxPolicy, cache: Path, progress: Callable[[str], None]
    ) -> "SandboxFactory":
        """Connect, remove what dead runs left, and make the image if it is not there.

        Raises:
            SandboxError: One of that is not possible; nothing has been started.
        """
        engine = Engine.connect()
        try:
            removed = reap(engine)
            if removed:
                progress(f"removed {removed} boxes and volumes that ended runs had left")
            policy = _fitted(policy, engine)
            image = prepare_image(engine, reference, cache, progress)
            choice = (
                choose_runtime(engine, image, policy, _TRIAL) if policy.runtime == AUTO else None
            )
        except BaseException:
            engine.close()
            raise
        if choice is None:
            return cls(engine, image, policy)
        progress(choice.text)
        return cls(engine, image, replace(policy, runtime=choice.runtime), choice)

    @property
    def engine_summary(self) -> str:
        """The engine's name and version in one line."""
        version = self._engine.version
        name = (version.get("Platform") or {}).get("Name") or "Docker Engine"
        runtime = self._policy.runtime or "default"
        return (
            f"{name} {version.get('Version')} (API {version.get('ApiVersion')}), runtime {runtime}"
        )

    def open_sandbox(self, run: str) -> Sandbox:
        """Make a verified box for the run of that name.

        A box that cannot read its own limits is given only when a trial has shown that they bind.

        Raises:
            SandboxError: It cannot be made, or is not confined as the policy says.
        """
        box = self._open(run)
        if self._known or limits_are_seen(box.receipt):
            return box
        box.close()
        prove_limits(self._engine, self.image, self._policy, self._policy.runtime, _TRIAL)
        self._known = _as_known(RuntimeChoice(self._policy.runtime, ()))
        return self._open(run)

    def _open(self, run: str) -> DockerSandbox:
        packages = None if self._layer is None else self._layer.packages
        box = DockerSandbox(
            self._engine, self.image, self._policy, run=run, known=self._known, packages=packages
        )
        return box.open()

    def fetch_packages(
        self, run: str, requirements: str, *, hashed: bool, index: PackageIndex
    ) -> Fetched:
        """Have pip fetch the wheels for some requirements, in a box of its own.

        Raises:
            SandboxError: The box cannot be made or was lost.
        """
        return fetch(
            self._engine,
            self.image,
            self._policy,
            run=run,
            requirements=requirements,
            hashed=hashed,
            index=index,
            proxy=self._make_proxy(index),
        )

    def install_packages(self, run: str, wheels: Mapping[str, bytes]) -> Installed:
        """Have every later box mount these packages; no box may be open that mounts those before.

        Raises:
            Refused: A wheel cannot be unpacked.
            SandboxError: The volume cannot be made.
        """
        self._drop_layer()
        if not wheels:
            return Installed(digest="")
        self._layer = PackageLayer(
            self._engine, self.image, self._policy, run=run, wheels=wheels
        ).open()
        return Installed(digest=self._layer.packages.digest, receipt=self._layer.receipt)

    def _drop_layer(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.close()

    def lend(self, use: Callable[[Engine, SandboxImage, SandboxPolicy], T]) -> T:
        """Give engine, image and policy to what makes boxes of its own: the attacks of `l2mac doctor --attack`."""
        return use(self._engine, self.image, self._policy)

    def close(self) -> None:
        """Remove the packages' volume and close the connection to the engine."""
        try:
            self._drop_layer()
        finally:
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def offline_base_script() -> str:
    """Give the script that builds the base image where no registry answers."""
    return (recipe_folder("base") / "build").read_text(encoding="utf-8")


def remove_leftovers(*, with_images: bool) -> tuple[int, int]:
    """Remove what dead runs left in the engine; gives how many boxes with volumes and how many images went.

    Raises:
        SandboxError: The engine does not answer or refuses.
    """
    with Engine.connect() as engine:
        return reap(engine), remove_box_images(engine) if with_images else 0


def _as_known(choice: RuntimeChoice) -> dict[str, Any]:
    """Give what a trial showed, for the receipt."""
    return {
        "trial": {
            "runtime": choice.runtime,
            "limits": "bind",
            "passed_over": dict(choice.passed_over),
        }
    }


def _fitted(policy: SandboxPolicy, engine: Engine) -> SandboxPolicy:
    """Cut the processors to what the engine's machine has, and make sure that the runtime is known to it."""
    info = engine.info()
    runtimes = sorted(info.get("Runtimes") or {})
    require_fit(info, engine.version, None if policy.runtime == AUTO else policy.runtime)
    if policy.runtime not in ("", AUTO, *runtimes):
        raise EngineUnavailable(
            f"the engine has no runtime {policy.runtime!r}; it has: {', '.join(runtimes)} (--runtime)"
        )
    return replace(policy, cpus=min(policy.cpus, float(info.get("NCPU") or policy.cpus)))
