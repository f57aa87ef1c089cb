"""The project's own source, parsed: what the architecture tests look at, and how they look."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "sandbox" / "attack" / "programs"


@dataclass(frozen=True)
class Module:
    """A source file; `name` as it is imported."""

    name: str
    path: Path
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def is_below(self, *names: str) -> bool:
        """Whether it is one of these modules or packages, or in one of them."""
        return any(self.name == name or self.name.startswith(f"{name}.") for name in names)


@functools.cache
def modules(*packages: str) -> tuple[Module, ...]:
    """Give every module of the packages, sorted by path; the attack suite's programs are data, not modules."""
    found = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    paths = [path for path in found if not path.is_relative_to(PROGRAMS)]
    return tuple(Module(_dotted(path), path, path.read_text(encoding="utf-8")) for path in paths)


CONTAINER_SIDE = ("sandbox.guest", "sandbox.checkers", "sandbox.container_main")


def host_modules() -> tuple[Module, ...]:
    """Return every module that runs on the host."""
    return tuple(one for one in modules("l2mac", "sandbox") if not _runs_in_container(one))


def guest_modules() -> tuple[Module, ...]:
    """Return every module that runs in the container and nowhere else."""
    return tuple(one for one in modules("sandbox") if _runs_in_container(one))


def _runs_in_container(module: Module) -> bool:
    return any(module.is_below(sessions) for sessions in CONTAINER_SIDE)


@functools.cache
def imported(tree: ast.AST) -> tuple[tuple[ast.stmt, str], ...]:
    """Give every imported name in full, at whatever depth, with its statement: `from a import b` gives `a.b`."""
    found: list[tuple[ast.stmt, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [
                (node, f"{'.' * node.level}{node.module or ''}.{alias.name}")
                for alias in node.names
            ]
    return tuple(found)


def imports_of(tree: ast.AST, library: str) -> list[str]:
    """Give what is imported of a library, `os.path` and the like being libraries, too."""
    return [name for _, name in imported(tree) if f"{name}.".startswith(f"{library}.")]


@functools.cache
def dotted_names(tree: ast.AST) -> tuple[tuple[int, str], ...]:
    """Give every name that is used, with its line: `a.b.c` once, and what `from a import b` brought in as `a.b`."""
    origins = dict(_origins(tree))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)]
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    found = []
    for node in nodes:
        if id(node) not in inner:
            head, *rest = _parts(node)
            found.append((node.lineno, ".".join((origins.get(head, head), *rest))))
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Give every function and method at whatever depth."""
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _origins(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Give under which name each import is known here, and its name in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                (alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names
            )


def _parts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [*_parts(node.value), node.attr]
    return [node.id if isinstance(node, ast.Name) else "()"]


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
