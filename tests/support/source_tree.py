"""The project's own source: its modules, imports and names, and the English in its files."""

import ast
import functools
import io
import re
import tokenize
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
        """Return whether the module is one of these modules or packages, or inside one."""
        return any(self.name == name or self.name.startswith(f"{name}.") for name in names)


@functools.cache
def modules(*packages: str) -> tuple[Module, ...]:
    """Return every module of the packages by path, without the attack suite's programs."""
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
    """Return every imported name with its statement: `from a import b` yields `a.b`."""
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
    """Return the imported names of a library such as `os` or `os.path`."""
    return [name for _, name in imported(tree) if f"{name}.".startswith(f"{library}.")]


@functools.cache
def dotted_names(tree: ast.AST) -> tuple[tuple[int, str], ...]:
    """Return every used name with its line: `a.b.c` once, imported names in full."""
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
    """Yield every function and method, nested ones included."""
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _origins(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the local name and the full name of each import."""
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


@dataclass(frozen=True, order=True)
class Passage:
    """A piece of English in a file; `kind` is "function", "help", "prose" and the like."""

    line: int
    kind: str
    text: str

    def sentences(self) -> str:
        """Return the text without code, one sentence per line."""
        text = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        text = re.sub(r"`[^`]*`", "_", text)
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        text = re.sub(r"\n\s*(?:[-*>]|\d+\.|[\w.]+:)(?=\s)|(?<=[.!?])\s+|\n\s*\n", "\0", text)
        return "\n".join(" ".join(sentence.split()) for sentence in text.split("\0"))


USER_FACING = {"cli", "runs", "settings", "workspace"}  # rooms with few texts for the model
MODEL_FACING = ("l2mac", "tools")  # every text there is a prompt


def passages(path: Path) -> list[Passage]:
    """Return the English of a file: docstrings, texts and comments, test names, or Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return list(_markdown(text))
    tree = ast.parse(text)
    if "tests" in path.parts:
        tests = (one for one in functions(tree) if one.name.startswith("test_"))
        return [Passage(one.lineno, "test", one.name) for one in tests]
    kind = "message" if USER_FACING & set(path.parts) else "literal"
    if path.parent.parts[-2:] == MODEL_FACING:
        kind = "prompt"
    texts = _texts(tree, kind)
    return sorted({*_docstrings(tree), *_comments(text), *texts})


def _markdown(text: str) -> Iterator[Passage]:
    kinds = {"#": "heading", "|": "table"}
    is_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        is_code ^= line.lstrip().startswith("```")
        if line.strip(" `") and not is_code and not line.startswith(("```", "<")):
            kind = kinds.get(line.lstrip()[0], "prose")
            yield Passage(number, kind, line.strip("#>-*| "))


def _docstrings(tree: ast.AST) -> Iterator[Passage]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if text := ast.get_docstring(node):
            yield Passage(node.body[0].lineno, _kind(node), text)


def _kind(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if isinstance(node, ast.ClassDef) and "Arguments" in map(ast.unparse, node.bases):
        return "prompt"  # a part of the schema that the model reads
    if isinstance(node, ast.Module | ast.ClassDef):
        return type(node).__name__.removesuffix("Def").lower()
    decorators = " ".join(ast.unparse(one) for one in node.decorator_list)
    if "property" in decorators:
        return "property"
    return "command" if re.search(r"\b(?:command|group)\b", decorators) else "function"


def _comments(text: str) -> Iterator[Passage]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Passage(token.start[0], "comment", token.string.strip("# "))


def _texts(node: ast.AST, kind: str) -> Iterator[Passage]:
    """Yield every literal text but docstrings, with `…` for inserted values."""
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
        yield from _sentence(node.lineno, kind, "".join(map(str, parts)))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _sentence(node.lineno, kind, node.value)
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child, _use(node, kind))


def _sentence(line: int, kind: str, text: str) -> Iterator[Passage]:
    if kind in ("help", "message") or re.search(r"\w+ \w+ \w+", text):
        is_markup = re.search("[{}<>]", text)
        yield from () if is_markup or " " not in text else (Passage(line, kind, text),)


def _use(node: ast.AST, kind: str) -> str:
    """Return the kind of the texts inside a node."""
    if kind == "prompt":
        return kind
    if isinstance(node, ast.Raise):
        return "message"
    if isinstance(node, ast.Call) and _parts(node.func)[-1] in ("echo", "secho", "print"):
        return "message"
    if isinstance(node, ast.keyword) and node.arg == "description":
        return "help" if kind == "message" else "prompt"
    return "help" if isinstance(node, ast.keyword) and node.arg == "help" else kind
