"""One module per library and per dangerous function, beyond the patterns of import-linter."""

import ast
import sys

import pytest
from source_tree import dotted_names, guest_modules, host_modules, imported, imports_of, modules

# Library → where on the host it may be imported. An empty tuple: nowhere.
DOORS = {
    "docker": ("sandbox.engine",),
    "requests": ("sandbox.engine.connection", "sandbox.engine.image"),
    "openai": ("l2mac.processor.openai_processor", "l2mac.processor.http_client"),
    "httpx2": (
        "l2mac.processor.openai_processor",
        "l2mac.processor.http_client",
    ),
    "click": ("l2mac.cli",),
    "rich": ("l2mac.cli",),
    "pydantic_settings": ("l2mac.settings.settings", "l2mac.settings.sources"),
    "tomllib": (
        "l2mac.bench.task_file",
        "l2mac.bench.variant",
        "l2mac.domains.definition",
        "l2mac.evaluator.requirement_files",
        "l2mac.settings.toml_file",
    ),
    "yaml": ("l2mac.runs.program_file",),
    "markdown_it": ("l2mac.domains.book.document",),
    "wandb": ("l2mac.insight.wandb_sink",),
    "subprocess": ("sandbox.engine.wheels",),
    "tempfile": ("sandbox.engine.wheels",),
    "tarfile": ("sandbox.engine.image",),
    "fcntl": ("l2mac.trace.journal",),
    "socket": (
        "l2mac.processor.cancellation",
        "sandbox.attack.lives",
        "sandbox.engine.channel",
        "sandbox.proxy",
        "sandbox.scripted_guest",
    ),
    "http": ("l2mac.testing.model_server",),
    "importlib": (
        "l2mac.bench.task_file",
        "l2mac.bench.task",
        "l2mac.domains.prompt_set",
        "sandbox.attack.site",
        "sandbox.engine.docker_sandbox",
        "sandbox.engine.image",
    ),
    "ast": (),
    "code": (),
    "codeop": (),
    "ctypes": (),
    "marshal": (),
    "multiprocessing": (),
    "pickle": (),
    "pty": (),
    "runpy": (),
    "shelve": (),
    "shutil": (),
    "urllib.request": (),
    "zipimport": (),
}
HARMFUL = (
    "builtins",
    "compile",
    "eval",
    "exec",
    "__import__",
    "importlib.import_module",
    "importlib.util",
    "importlib.machinery",
    "os.exec",
    "os.fork",
    "os.popen",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
)
ENGINE_DOORS_THAT_STAY_SHUT = (
    "put_archive",
    "get_archive",
    "exec_create",
    "exec_start",
    "exec_run",
)
ENVIRONMENT = ("os.environ", "os.getenv", "os.environb", "os.getenvb")
GUEST_LIBRARIES = {
    "sandbox.checkers.collecting": ("_pytest",),
    "sandbox.checkers.source_only": ("_pytest",),
    "sandbox.checkers.jobs": ("pytest", "_pytest", "pylint", "astroid"),
    "sandbox.checkers.measure": ("coverage",),
    "sandbox.checkers.sample": ("pytest",),
}


def harmful(tree: ast.AST) -> list[str]:
    """Return the calls that run a given command or load given code."""
    keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
    shells = [
        f"line {keyword.value.lineno}: shell=" for keyword in keywords if keyword.arg == "shell"
    ]
    return shells + [
        f"line {line}: {name}" for line, name in dotted_names(tree) if _is_harmful(name)
    ]


def _is_harmful(name: str) -> bool:
    if name.startswith("os."):
        return name.startswith(HARMFUL)
    return any(f"{name}.".startswith(f"{bad}.") for bad in HARMFUL)


def test_each_library_has_one_door() -> None:
    importers = [
        (library, one.name)
        for library in DOORS
        for one in host_modules()
        if imports_of(one.tree, library)
    ]
    outside = [
        (library, name)
        for library, name in importers
        if not any(f"{name}.".startswith(f"{door}.") for door in DOORS[library])
    ]
    assert outside == []


def test_every_listed_door_is_used() -> None:
    doors = [(library, door) for library in DOORS for door in DOORS[library]]
    used = [
        (library, door)
        for library, door in doors
        if any(
            module.is_below(door) and imports_of(module.tree, library) for module in host_modules()
        )
    ]
    assert used == doors


def test_host_modules_never_run_or_load_given_code() -> None:
    assert {
        module.name: harmful(module.tree) for module in host_modules() if harmful(module.tree)
    } == {}


def test_only_the_checkers_compile_code_in_the_sandbox() -> None:
    compiling = {
        module.name
        for module in guest_modules()
        if any(name == "compile" for _, name in dotted_names(module.tree))
    }
    assert compiling == {"sandbox.checkers.sources"}


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "run = exec",
        "compile('1', 'x', 'exec')",
        "__import__('os')",
        "import os\nos.system('true')",
        "import os as o\no.popen('true')",
        "from os import system as s\ns('true')",
        "from os import execve\nexecve('/bin/true', [], {})",
        "import importlib\nimportlib.import_module('os')",
        "from importlib import import_module\nimport_module('os')",
        "import builtins\nbuiltins.eval('1')",
        "run(['true'], shell=True)",
        "run(['true'], shell=setting)",
    ],
)
def test_the_search_for_harm_finds_it(source: str) -> None:
    assert harmful(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile('x')",
        "model.eval_count",
        "from importlib import resources\nresources.files('x')",
    ],
)
def test_the_search_for_harm_leaves_the_harmless_alone(source: str) -> None:
    assert harmful(ast.parse(source)) == []


def test_engine_has_no_second_way_into_a_container() -> None:
    named = {
        module.name: door
        for module in host_modules()
        for door in ENGINE_DOORS_THAT_STAY_SHUT
        if door in module.text
    }
    assert named == {}


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        module.name
        for module in modules("l2mac")
        if any(
            f"{name}.".startswith(tuple(f"{one}." for one in ENVIRONMENT))
            for _, name in dotted_names(module.tree)
        )
    }
    assert readers == {"l2mac.settings.settings"}


def test_guest_imports_only_the_standard_library_and_two_shared_modules() -> None:
    for module in guest_modules():
        for _, name in imported(module.tree):
            ours = f"{name}.".startswith(
                ("sandbox.guest.", "sandbox.checkers.", "sandbox.protocol.", "sandbox.paths.")
            )
            library = name.partition(".")[0]
            assert (
                ours
                or library in sys.stdlib_module_names
                or library in GUEST_LIBRARIES.get(module.name, ())
            ), f"{module.name} imports {name}"


def test_the_checkers_are_imported_in_the_preloaded_process_alone() -> None:
    (jobs,) = (module for module in guest_modules() if module.name == "sandbox.checkers.jobs")
    at_the_top = [name for statement, name in imported(jobs.tree) if statement.col_offset == 0]
    assert [
        name for name in at_the_top if name.partition(".")[0] in GUEST_LIBRARIES[jobs.name]
    ] == []
    importers = {
        one.name
        for one in guest_modules()
        for name in GUEST_LIBRARIES
        if name in dict.fromkeys(_names(one.tree))
    }
    assert importers <= {"sandbox.checkers.process"}


def _names(tree: ast.AST) -> list[str]:
    return [name for _, name in imported(tree)]


def test_modules_of_both_sides_import_only_the_standard_library() -> None:
    for module in modules("sandbox"):
        if module.name in ("sandbox.protocol", "sandbox.paths"):
            assert {
                name.partition(".")[0] for _, name in imported(module.tree)
            } <= sys.stdlib_module_names
