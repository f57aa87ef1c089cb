"""The wheel has everything that a run needs, and works when it is unpacked."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from source_tree import ROOT

PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import l2mac, sandbox
from l2mac.domains.loader import load_domain
from sandbox.engine.docker_sandbox import seccomp_profile
from sandbox.engine.image import guest_files, recipe_folder
assert l2mac.__file__.startswith(sys.argv[1]) and sandbox.__file__.startswith(sys.argv[1])
print(len(load_domain("book").prompts.render("system")), len(seccomp_profile()), len(guest_files()))
print(recipe_folder("python"), recipe_folder("base"))
"""
COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop())
sys.argv = ["l2mac", "--version"]
from l2mac.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(folder),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_python(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that takes a folder, away from this source tree and its variables."""
    command = [sys.executable, "-I", "-c", program, str(folder)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


def in_tree(folder: str, pattern: str) -> set[str]:
    found = (
        path
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    )
    return {str(path.relative_to(ROOT)) for path in found}


def test_the_wheel_has_every_recipe(contents: set[str]) -> None:
    recipes = {f"sandbox/{path}" for path in in_tree("images", "*")}
    assert {"sandbox/images/python/Dockerfile", "sandbox/images/base/build"} <= recipes <= contents


def test_the_wheel_has_every_prompt_and_the_seccomp_profile(contents: set[str]) -> None:
    assert (
        in_tree("l2mac/prompts", "*.md")
        | in_tree("l2mac/prompts", "*.toml")
        | {"sandbox/seccomp.json"}
        <= contents
    )


def test_the_wheel_has_all_code_and_says_that_it_is_typed(contents: set[str]) -> None:
    code = in_tree("l2mac", "*.py") | in_tree("sandbox", "*.py")
    assert code | {"l2mac/py.typed", "sandbox/py.typed"} <= contents


def test_the_wheel_has_nothing_else(contents: set[str]) -> None:
    ours = (
        in_tree("l2mac", "*")
        | in_tree("sandbox", "*")
        | {f"sandbox/{path}" for path in in_tree("images", "*")}
    )
    assert {name for name in contents - ours if ".dist-info/" not in name} == set()


def test_an_unpacked_wheel_finds_its_prompts_profile_guest_and_recipes(unpacked: Path) -> None:
    done = run_python(PROBE, unpacked)
    assert done.returncode == 0, done.stderr
    assert f"{unpacked}/sandbox/images/python {unpacked}/sandbox/images/base" in done.stdout


def test_the_command_of_the_wheel_answers(unpacked: Path) -> None:
    done = run_python(COMMAND, unpacked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("l2mac, version ")
