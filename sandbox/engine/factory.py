"""Make sandboxes on a Docker Engine; the entry point for other packages."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from sandbox import (
    EngineUnavailable,
    Fetched,
    Installed,
    PackageIndex,
    Receipt,
    Sandbox,
    SandboxPolicy,
)
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.fitness import require_fit
from sandbox.engine.image import SandboxImage, prepare_image, recipe_folder, remove_sandbox_images
from sandbox.engine.packages import PackageLayer, PackageRequest, fetch
from sandbox.engine.reaper import reap
from sandbox.engine.trial import AUTO, RuntimeChoice, choose_runtime, limits_are_seen, prove_limits
from sandbox.proxy import Proxy

_TRIAL = "trial"

T = TypeVar("T")


class SandboxFactory:
    """An engine, an image and a policy that make sandboxes.

    Use the factory as a context manager.

    Args:
        engine: The engine; closed at the end.
        image: The image that sandboxes start from.
        policy: Limits of each sandbox.
        choice: The result of the trial of runtimes, if there was one.
        make_proxy: Returns the proxy for one fetch from an index.
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
        self._known = _as_known(choice) if choice else Receipt()
        self._make_proxy = make_proxy
        self._layer: PackageLayer | None = None

    @classmethod
    def prepare(
        cls, reference: str, policy: SandboxPolicy, cache: Path, progress: Callable[[str], None]
    ) -> "SandboxFactory":
        """Connect, remove leftovers of dead runs, and build the image if it is missing.

        Raises:
            SandboxError: One of these steps failed; nothing has been started.
        """
        engine = Engine.connect()
        try:
            removed = reap(engine)
            if removed:
                progress(f"removed {removed} sandboxes and volumes of ended runs")
            policy = _fitted(policy, engine)
            image = prepare_image(engine, reference, cache, progress)
            choice = None
            if policy.runtime == AUTO:
                choice = choose_runtime(engine, image, policy, _TRIAL)
        except BaseException:
            engine.close()
            raise
        if choice is None:
            return cls(engine, image, policy)
        progress(choice.text)
        return cls(engine, image, replace(policy, runtime=choice.runtime), choice)

    @property
    def engine_summary(self) -> str:
        """The engine's name, version and runtime in one line."""
        version = self._engine.version
        name = (version.get("Platform") or {}).get("Name") or "Docker Engine"
        runtime = self._policy.runtime or "default"
        described = f"{name} {version.get('Version')} (API {version.get('ApiVersion')})"
        return f"{described}, runtime {runtime}"

    def open_sandbox(self, run: str) -> Sandbox:
        """Make a verified sandbox for the run of that name.

        A sandbox that cannot read its own limits is returned only if a trial has shown that they
        bind.

        Raises:
            SandboxError: The sandbox cannot be made, or its confinement does not match the policy.
        """
        sandbox = self._open(run)
        if self._known or limits_are_seen(sandbox.receipt):
            return sandbox
        sandbox.close()
        prove_limits(self._engine, self.image, self._policy, self._policy.runtime, _TRIAL)
        self._known = _as_known(RuntimeChoice(self._policy.runtime, ()))
        return self._open(run)

    def _open(self, run: str) -> DockerSandbox:
        packages = None if self._layer is None else self._layer.packages
        sandbox = DockerSandbox(
            self._engine, self.image, self._policy, run=run, known=self._known, packages=packages
        )
        return sandbox.open()

    def fetch_packages(
        self, run: str, requirements: str, *, hashed: bool, index: PackageIndex
    ) -> Fetched:
        """Fetch the wheels for `requirements` with pip, in a separate sandbox.

        Raises:
            SandboxError: The sandbox cannot be made or was lost.
        """
        return fetch(
            self._engine,
            self.image,
            self._policy,
            PackageRequest(requirements=requirements, hashed=hashed, index=index),
            run=run,
            proxy=self._make_proxy(index),
        )

    def install_packages(self, run: str, wheels: Mapping[str, bytes]) -> Installed:
        """Install these packages for every later sandbox.

        No open sandbox may mount the packages of an earlier call.

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
        """Call `use` with engine, image and policy, for `doctor --attack`."""
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
    """Return the script that builds a base image without a registry."""
    return (recipe_folder("base") / "build").read_text(encoding="utf-8")


def remove_leftovers(*, with_images: bool) -> tuple[int, int]:
    """Remove sandboxes of dead runs and, on request, every image that l2mac built.

    Returns:
        The number of removed sandboxes and volumes, and the number of removed images.

    Raises:
        SandboxError: The engine does not answer or refuses.
    """
    with Engine.connect() as engine:
        removed = reap(engine)
        return removed, remove_sandbox_images(engine) if with_images else 0


def _as_known(choice: RuntimeChoice) -> Receipt:
    """Return the result of a trial, for the receipt."""
    return {
        "trial": {
            "runtime": choice.runtime,
            "limits": "bind",
            "passed_over": dict(choice.passed_over),
        }
    }


def _fitted(policy: SandboxPolicy, engine: Engine) -> SandboxPolicy:
    """Return the policy bounded to the machine's processors; check its runtime."""
    info = engine.info()
    runtimes = sorted(info.get("Runtimes") or {})
    require_fit(info, engine.version, None if policy.runtime == AUTO else policy.runtime)
    if policy.runtime not in ("", AUTO, *runtimes):
        raise EngineUnavailable(
            f"The engine has no runtime {policy.runtime!r}."
            f" Choose one of {', '.join(runtimes)} with --runtime."
        )
    available = float(info.get("NCPU") or policy.cpus)
    return replace(policy, cpus=min(policy.cpus, available))
