"""Rows 57 to 64: the network and secrets. Every packet goes to a listener of the suite, in a network of its own.

Other addresses are shown to be out of reach by there being no interface and no route, not by trying them.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Site, program
from sandbox.attack.weakened import WeakenedOutcome, beside, on_network, with_variable
from sandbox.engine.connection import engine_errors
from sandbox.engine.reaper import remove_container, sandbox_labels


def attack(site: Site, secret: str) -> Iterator[AttackFinding]:
    """Attack the network and look for what is not the sandbox's own; `secret` is in this process's environment."""
    with _listener(site) as (network, listener, address):
        arguments = (address, listener[:12], site.run)
        probe = {"probe": (program("network"), *arguments, "wait")}
        connected = site.control(on_network(network), probe)["probe"]
        neighbour = site.control(beside(listener), probe)["probe"]
        with site.sandbox() as arena:
            seen = arena.value(program("network"), *arguments)
            yield from _reached(seen, connected, neighbour)
            yield _secret(
                site,
                arena.sandbox.container,
                arena.sandbox.receipt,
                _found(arena.value, secret),
                secret,
            )
    yield AttackFinding(
        number=63,
        observed="every sandbox has a volume of its own, gone with it; what processors and caches tell is not hidden",
        limit="sandboxes share processors, caches and memory pressure with the machine",
    )


@contextlib.contextmanager
def _listener(site: Site) -> Iterator[tuple[str, str, str]]:
    """Make an internal network and a listener in it; gives the network, the container and its address."""
    api, name = site.engine.api, f"l2mac-{site.run}"
    with engine_errors("making the network of the attack suite"):
        network = api.create_network(
            name, driver="bridge", internal=True, labels=sandbox_labels(site.run)
        )["Id"]
    container = ""
    try:
        container = site.start(
            site.request(on_network(name), {"listen": (program("listener"), site.run)})
        )
        seen = site.note(container)
        yield name, container, seen["NetworkSettings"]["Networks"][name]["IPAddress"]
    finally:
        with engine_errors("removing the network of the attack suite"):
            if container:
                remove_container(site.engine, container)
            api.remove_network(network)


def _reached(
    seen: dict[str, Any], connected: WeakenedOutcome, neighbour: WeakenedOutcome
) -> Iterator[AttackFinding]:
    weak, beside_it = (
        connected.value or {"reached": [], "links": []},
        neighbour.value or {"reached": []},
    )
    reached = set(seen["reached"])
    there = f"interfaces: {', '.join(seen['links']) or 'none'}; routes: {', '.join(seen['routes']) or 'none'}"
    yield AttackFinding(
        number=57,
        held=not reached & {"tcp", "udp", "raw"}
        and set(seen["links"]) <= {"lo"}
        and not seen["routes"],
        observed=f"the listener is unreachable; {there}",
        shown={"tcp", "udp"} <= set(weak["reached"]),
        control="in the listener's network TCP and UDP reach it",
    )
    yield AttackFinding(
        number=58,
        held="loopback" not in reached and not seen["routes"],
        observed=f"nothing listens on the sandbox's loopback; {there}",
        shown="loopback" in beside_it["reached"],
        control="in the listener's network namespace its loopback answers",
    )
    for number, what, control, text in (
        (59, "name", weak, "the engine's resolver gives the listener's address"),
        (
            60,
            "abstract",
            beside_it,
            "in the listener's network namespace its abstract socket answers",
        ),
    ):
        yield AttackFinding(
            number=number,
            held=what not in reached,
            observed="none answers" if what not in reached else "it answers",
            shown=what in control["reached"],
            control=text,
        )
    for number, what, thing in ((61, "sockets", "sockets"), (64, "left", "files of the neighbour")):
        weaker = beside_it.get(what, [])
        yield AttackFinding(
            number=number,
            held=not seen[what],
            observed=f"{thing}: {', '.join(seen[what]) or 'none'}",
            shown=bool(weaker),
            control=f"with the neighbour's volume: {', '.join(weaker)}",
        )


def _found(value: Any, secret: str) -> list[str]:
    found: list[str] = value(program("secrets_search"), secret.encode()[::-1].hex())
    return found


def _secret(
    site: Site, container: str, receipt: Any, found: list[str], secret: str
) -> AttackFinding:
    with engine_errors("reading what the engine keeps of a sandbox"):
        kept = {
            "settings": site.note(container),
            "receipt": receipt,
            "image": site.engine.api.history(site.image.id),  # type: ignore[no-untyped-call]
        }
    found = [
        *found,
        *(name for name, value in kept.items() if secret in json.dumps(value, default=str)),
    ]
    search = {"probe": (program("secrets_search"), secret.encode()[::-1].hex())}
    control = site.control(with_variable(f"SOME_KEY={secret}"), search)["probe"].value
    return AttackFinding(
        number=62,
        held=not found,
        observed=f"found in: {', '.join(found) or 'nothing'}",
        shown=bool(control),
        control=f"handed in as a variable it is found in {', '.join((control or ['nothing'])[:2])}",
    )
