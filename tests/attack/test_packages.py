"""Packages of generated code: fetched from allowed hosts only, verified, and read-only.

The index is on the loopback; no packet goes anywhere else.
"""

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import pytest
from engine import RUN, leftovers
from wheel_index import HOST, OTHER, WheelIndex, wheel

from sandbox import Fetched, IsolationMismatch, Job, PackageIndex, Reach, Refused, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage
from sandbox.engine.packages import PackageLayer, PackageRequest, fetch
from sandbox.protocol import TUNNEL_PORT
from sandbox.proxy import Bytes, Proxy

PUBLIC = "198.41.0.4"  # never connected to: every connection is made to the index on the loopback
POLICY = SandboxPolicy(cpus=1.0)
GOOD = wheel("good", {"good.py": "from helper import B\nA = B\n"}, needs="helper")
HELPER = wheel(
    "helper", {"helper.py": "B = 7\n", "x.pth": "import os; os.environ['PTH'] = '1'\n"}, mode=0o6755
)
OUTSIDE = wheel("outside", {"../../escape.py": "A = 1\n"})
PROBE = f"""
import errno, socket
outcomes = []
for address in ("{PUBLIC}", "2606:4700::1"):
    try:
        socket.create_connection((address, 443), timeout=5)
        outcomes.append("connected")
    except OSError as error:
        outcomes.append(errno.errorcode.get(error.errno, "?"))
try:
    socket.getaddrinfo("{HOST}", 443)
    outcomes.append("resolved")
except socket.gaierror:
    outcomes.append("unresolved")
def ask(host, port=443):
    with socket.create_connection(("127.0.0.1", {TUNNEL_PORT}), timeout=10) as connection:
        connection.sendall(f"CONNECT {{host}}:{{port}} HTTP/1.1\\r\\n\\r\\n".encode())
        return connection.recv(100).split()[1].decode()
outcomes += [ask("{HOST}"), ask("{OTHER}"), ask("{PUBLIC}"), ask("127.0.0.1"), ask("{HOST}", 80)]
print(*outcomes)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WheelIndex]:
    made = {"good": GOOD, "helper": HELPER, "outside": OUTSIDE}
    packages = {name: dict([one]) for name, one in made.items()}
    packages |= {"source": {"source-1.0.tar.gz": b"a program that would run"}, "lured": {}}
    with WheelIndex(tmp_path_factory.mktemp("index"), packages) as index:
        yield index


class Fetch(Protocol):
    """A function that fetches requirements and returns the result and the used proxy."""

    def __call__(
        self,
        requirements: str,
        *,
        hosts: tuple[str, ...] = (HOST,),
        address: str = PUBLIC,
        hashed: bool = False,
    ) -> tuple[Fetched, Proxy]: ...


@pytest.fixture
def fetched(engine: Engine, sandbox_image: SandboxImage, index: WheelIndex) -> Fetch:
    def go(
        requirements: str,
        *,
        hosts: tuple[str, ...] = (HOST,),
        address: str = PUBLIC,
        hashed: bool = False,
    ) -> tuple[Fetched, Proxy]:
        proxy = proxy_to(index, *hosts, address=address)
        known = PackageIndex(
            url=f"https://{HOST}/simple/", reach=proxy.reach, certificates=index.authority
        )
        result = fetch(
            engine,
            sandbox_image,
            POLICY,
            PackageRequest(requirements=requirements, hashed=hashed, index=known),
            run=RUN,
            proxy=proxy,
        )
        return result, proxy

    return go


def hash_of(made: tuple[str, bytes]) -> str:
    return hashlib.sha256(made[1]).hexdigest()


def proxy_to(index: WheelIndex, *hosts: str, address: str = PUBLIC) -> Proxy:
    def connect(_: str, patience_s: float) -> socket.socket:
        return socket.create_connection(("127.0.0.1", index.port), timeout=patience_s)

    return Proxy(Reach(hosts=frozenset(hosts)), lambda _: [address], connect)


@contextlib.contextmanager
def sandbox_with(
    engine: Engine, sandbox_image: SandboxImage, *wheels: tuple[str, bytes]
) -> Iterator[DockerSandbox]:
    layer = PackageLayer(engine, sandbox_image, POLICY, run=RUN, wheels=dict(wheels)).open()
    sandbox = DockerSandbox(engine, sandbox_image, POLICY, run=RUN, packages=layer.packages)
    try:
        with sandbox:
            yield sandbox
    finally:
        layer.close()


def test_packages_are_fetched_with_dependencies_from_the_allowed_host(fetched: Fetch) -> None:
    lines = (
        f"{name}==1.0 --hash=sha256:{hash_of(made)}\n"
        for name, made in (("good", GOOD), ("helper", HELPER))
    )
    result, proxy = fetched("".join(lines), hashed=True)
    assert dict(result.wheels) == dict([GOOD, HELPER]), result.output
    assert {(decision.host, decision.reason) for decision in proxy.decisions} == {(HOST, "")}
    assert {row["verdict"] for row in result.receipt["rows"]} <= {"match", "not available"}


def test_files_on_other_hosts_are_fetched_only_when_allowed(
    fetched: Fetch, index: WheelIndex
) -> None:
    index.packages["lured"] = dict([wheel("lured", {"lured.py": ""})])
    result, proxy = fetched("lured\n")
    assert not result.wheels
    assert f"{OTHER} is not an allowed host" in {decision.reason for decision in proxy.decisions}
    assert "403" in result.output

    assert list(fetched("lured\n", hosts=(HOST, OTHER))[0].wheels) == ["lured-1.0-py3-none-any.whl"]


def test_index_that_resolves_to_a_private_address_is_not_reached(
    fetched: Fetch, index: WheelIndex
) -> None:
    asked = len(index.asked)
    result, proxy = fetched("good\n", address="169.254.169.254")
    assert not result.wheels
    assert all("resolves to" in decision.reason for decision in proxy.decisions)
    assert len(index.asked) == asked


def test_source_distributions_are_never_fetched(fetched: Fetch) -> None:
    result, _ = fetched("source\n")
    assert not result.wheels
    assert "No matching distribution found for source" in result.output


def test_wheel_with_a_wrong_hash_is_rejected(fetched: Fetch) -> None:
    result, _ = fetched(f"helper==1.0 --hash=sha256:{'0' * 64}\n", hashed=True)
    assert not result.wheels
    assert "DO NOT MATCH THE HASHES" in result.output


def test_fetching_sandbox_reaches_only_the_proxy(
    engine: Engine, sandbox_image: SandboxImage, index: WheelIndex
) -> None:
    proxy = proxy_to(index, HOST)
    with DockerSandbox(engine, sandbox_image, POLICY, run=RUN, proxy=proxy) as sandbox:
        seen = sandbox.run([Job("probe", argv=("python", "-c", PROBE))]).jobs[0]
    expected = ["ENETUNREACH", "ENETUNREACH", "unresolved", "200", "403", "403", "403", "403"]
    assert seen.output.text(500).split() == expected


def test_loopback_is_empty_without_a_proxy(sandbox: DockerSandbox) -> None:
    probe = f"import socket; socket.create_connection(('127.0.0.1', {TUNNEL_PORT}), timeout=5)"
    seen = sandbox.run([Job("probe", argv=("python", "-c", probe))]).jobs[0]
    assert "ConnectionRefusedError" in seen.errors.text(5000)


def test_fetching_sandbox_reaches_nothing_when_the_proxy_dies(
    engine: Engine, sandbox_image: SandboxImage, index: WheelIndex
) -> None:
    class Broken(Proxy):
        def serve(self, client: Bytes) -> None:
            client.close()

    proxy = Broken(Reach(hosts=frozenset({HOST})))
    known = PackageIndex(
        url=f"https://{HOST}/simple/", reach=proxy.reach, certificates=index.authority
    )
    result = fetch(
        engine,
        sandbox_image,
        POLICY,
        PackageRequest(requirements="helper\n", hashed=False, index=known),
        run=RUN,
        proxy=proxy,
    )
    assert not result.wheels
    assert "No matching distribution" in result.output or "proxy" in result.output


CHANGE = """
import os
changes = (
    lambda: open('/packages/new', 'w'),
    lambda: open('/packages/good.py', 'w'),
    lambda: os.remove('/packages/good.py'),
    lambda: os.chmod('/packages/good.py', 0o777),
)
for change in changes:
    try:
        change()
        print('CHANGED')
    except OSError as error:
        print(error.errno)
"""
LOOK = """
import good, os
assert 'PTH' not in os.environ
names = ('good.py', 'helper.py')
print(good.A, {oct(os.stat('/packages/' + name).st_mode) for name in names})
"""


def test_packages_are_importable_and_read_only_in_the_sandbox(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    tests = {"test_it.py": b"from good import A\n\n\ndef test_it():\n    assert A == 7\n"}
    with sandbox_with(engine, sandbox_image, GOOD, HELPER) as sandbox:
        sandbox.write(tests)
        jobs = [
            Job("look", argv=("python", "-c", LOOK)),
            Job("change", argv=("python", "-c", CHANGE)),
            Job("tests", checker="pytest"),
            Job("lint", checker="pylint", paths=tuple(tests)),
        ]
        look_job, change_job, tests_job, lint_job = sandbox.run(jobs).jobs
        rows = {row["name"]: row["verdict"] for row in sandbox.receipt["rows"]}
    assert look_job.output.text(500).strip() == "7 {'0o100444'}", look_job.errors.text(2000)
    assert change_job.output.text(500).split() == ["30"] * 4  # EROFS
    assert tests_job.succeeded
    assert b"import-error" not in lint_job.report.head
    assert (rows["inside.packages"], rows["inside./packages.ro"]) == ("match", "match")


def test_sandbox_with_other_packages_than_unpacked_is_refused(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    layer = PackageLayer(engine, sandbox_image, POLICY, run=RUN, wheels=dict([HELPER])).open()
    other = replace(layer.packages, digest="0" * 64)
    try:
        with pytest.raises(IsolationMismatch) as caught:
            DockerSandbox(engine, sandbox_image, POLICY, run=RUN, packages=other).open()
    finally:
        layer.close()
    assert caught.value.rows == ("inside.packages",)


def test_package_import_fails_without_the_package_layer(sandbox: DockerSandbox) -> None:
    seen = sandbox.run([Job("look", argv=("python", "-c", "import good"))]).jobs[0]
    assert "ModuleNotFoundError" in seen.errors.text(2000)


def test_wheel_with_an_escaping_path_is_refused_and_leaves_nothing(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    before = leftovers(engine)
    with pytest.raises(Refused, match="escape"):
        PackageLayer(engine, sandbox_image, POLICY, run=RUN, wheels=dict([OUTSIDE])).open()
    assert set(leftovers(engine)) <= set(before)
