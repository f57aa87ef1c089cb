"""Rows 57 to 64: network and secrets.

All packets go to the suite's listener, on its own network.

Other addresses are not tried: without an interface and a route they cannot be reached.
"""

import contextlib
import json
from collections.abc import Iterator

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Site, program
from sandbox.attack.weakened import WeakenedOutcome, beside, on_network, with_variable
from sandbox.engine.connection import JsonObject, engine_errors
from sandbox.engine.reaper import remove_container, sandbox_labels
from sandbox.results import Receipt


def attack(site: Site, secret: str) -> Iterator[AttackFinding]:
    """Attack the network, and look for `secret` of this process's environment."""
    with _listener(site) as (network, listener, address):
        arguments = (address, listener[:12], site.run)
        probe = {"probe": (program("network"), *arguments, "wait")}
        connected = site.control(on_network(network), probe)["probe"]
        neighbour = site.control(beside(listener), probe)["probe"]
        with site.sandbox() as arena:
            seen = arena.value(program("network"), *arguments)
            yield from _reached(seen, connected, neighbour)
            found: list[str] = arena.value(program("secrets_search"), _hidden(secret))
            yield _secret(site, arena.sandbox.container, arena.sandbox.receipt, found, secret)
    yield AttackFinding(
        number=63,
        observed="every sandbox has its own volume; processors and caches leak information",
        limit="sandboxes share processors, caches and memory with the machine",
    )


@contextlib.contextmanager
def _listener(site: Site) -> Iterator[tuple[str, str, str]]:
    """Start a listener in an internal network.

    Yields the network, the container and its address.
    """
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
    seen: JsonObject, connected: WeakenedOutcome, neighbour: WeakenedOutcome
) -> Iterator[AttackFinding]:
    weak = connected.value or {"reached": [], "links": []}
    beside_it = neighbour.value or {"reached": []}
    reached = set(seen["reached"])
    links, routes = ", ".join(seen["links"]) or "none", ", ".join(seen["routes"]) or "none"
    there = f"interfaces: {links}; routes: {routes}"
    unreachable = not reached & {"tcp", "udp", "raw"}
    yield AttackFinding(
        number=57,
        held=unreachable and set(seen["links"]) <= {"lo"} and not seen["routes"],
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
    yield AttackFinding(
        number=59,
        held="name" not in reached,
        observed=_answer(came="name" in reached),
        shown="name" in weak["reached"],
        control="the engine's resolver returns the listener's address",
    )
    yield AttackFinding(
        number=60,
        held="abstract" not in reached,
        observed=_answer(came="abstract" in reached),
        shown="abstract" in beside_it["reached"],
        control="in the listener's network namespace its abstract socket answers",
    )
    for number, key, things in ((61, "sockets", "sockets"), (64, "left", "files of the neighbour")):
        weaker = beside_it.get(key, [])
        yield AttackFinding(
            number=number,
            held=not seen[key],
            observed=f"{things}: {', '.join(seen[key]) or 'none'}",
            shown=bool(weaker),
            control=f"with the neighbour's volume: {', '.join(weaker)}",
        )


def _answer(*, came: bool) -> str:
    return "an answer came" if came else "no answer came"


def _hidden(secret: str) -> str:
    """Return the secret in a form that a search in command lines does not find."""
    return secret.encode()[::-1].hex()


def _secret(
    site: Site, container: str, receipt: Receipt, found: list[str], secret: str
) -> AttackFinding:
    with engine_errors("reading the engine's description of a sandbox"):
        kept = {
            "settings": site.note(container),
            "receipt": receipt,
            "image": site.engine.api.history(site.image.id),  # type: ignore[no-untyped-call] # no stub
        }
    texts = {name: json.dumps(value, default=str) for name, value in kept.items()}
    found = [*found, *(name for name, text in texts.items() if secret in text)]
    search = {"probe": (program("secrets_search"), _hidden(secret))}
    control = site.control(with_variable(f"SOME_KEY={secret}"), search)["probe"].value
    return AttackFinding(
        number=62,
        held=not found,
        observed=f"found in: {', '.join(found) or 'nothing'}",
        shown=bool(control),
        control=f"given as a variable, it is found in {', '.join((control or ['nothing'])[:2])}",
    )
