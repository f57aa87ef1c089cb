"""Books and domains of a user's own, from the command line to the export: a real engine, a real box, real HTTP."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from scripted_models import book

from l2mac.testing.model_server import ModelServer
from l2mac.testing.scripted_reply import ScriptedReply

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
NOWHERE = {
    "L2MAC_BASE_URL": "http://127.0.0.1:9/v1",
    "L2MAC_MODEL": "m",
    "DOCKER_HOST": "unix:///none.sock",
}
CARD = "# Leek Soup\n\n## Ingredients\n\n- 3 leeks\n\n## Steps\n\n1. Cook.\n"

CLAIMS = {
    "submit_requirements": {"requirements": ["There is a soup."]},
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {
        "evidence": [{"requirement": 1, "files": ["cards/leek-soup.md"], "tests": []}]
    },
}


def l2mac(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("L2MAC_", "OPENAI_"))
    }
    own = {
        "L2MAC_RUNS_DIR": str(folder / "runs"),
        "L2MAC_IMAGE": IMAGE,
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    command = [sys.executable, "-m", "l2mac", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={**kept, **own, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def served(server: ModelServer) -> dict[str, str]:
    return {"L2MAC_BASE_URL": server.base_url, "L2MAC_MODEL": "scripted"}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], list[str]]:
    """One run of the book's story: its folder, its result, what the model was told last in each request."""
    folder = tmp_path_factory.mktemp("book")
    words = (
        "run",
        "--domain",
        "book",
        "--judge",
        "--output",
        "out",
        "--json",
        "--quiet",
        "a book of bread",
    )
    with ModelServer(book.answer) as server:
        done = l2mac(folder, *words, **served(server))
    assert done.returncode == 0, done.stdout + done.stderr
    return (
        folder,
        json.loads(done.stdout),
        [request.body["messages"][-1]["content"] for request in server.requests],
    )


def test_a_book_is_written_checked_in_the_box_and_exported(book):
    folder, result, _ = book
    assert {path: (folder / "out" / path).read_text() for path in book.FILES} == book.FILES
    checks = {check["name"]: (check["verdict"], check["summary"]) for check in result["checks"]}
    assert checks["outline"] == ("passed", "2 of 2 chapters written")


def test_the_model_was_told_of_every_mistake_with_its_place(book):
    told = "\n".join(book[2])
    for finding in (
        "- chapters/02-oven.md: has 15 words where the outline asks for 25; write about 10 more",
        "- chapters/02-oven.md:1: 'Chapter 2: The Ofen' is not the outline's title; write '# Chapter 2: The Oven'",
        "- chapters/02-oven.md:3: 'TODO' was left in; write the finished text in its place",
        "- chapters/02-oven.md:3: there is no chapter 7; correct the number",
        "- chapters/02-oven.md:3: 'Catherine' is near to 'Katherine'",
        "- chapters/01-the-flour.md: is not written yet; it is chapter 1 of the outline: write it",
    ):
        assert finding in told


def test_the_second_opinion_is_shown_as_one(book):
    opinions = [(opinion["path"], opinion["text"]) for opinion in book[1]["opinions"]]
    assert opinions == [(path, book.OPINION) for path in sorted(book.FILES) if path != "outline.md"]


def test_a_book_is_exported_as_one_document_into_a_new_file(book):
    folder, result, _ = book
    for form in ("md", "html", "epub"):
        words = ("export", str(result["run"]), "--format", form, "--output", f"book.{form}")
        assert l2mac(folder, *words).returncode == 0
        again = l2mac(folder, *words)
        assert (again.returncode, "name a new file" in again.stderr) == (2, True)
    assert (folder / "book.md").read_text().startswith("# A Small Book of Bread\n")
    assert "<td>hiss</td>" in (folder / "book.html").read_text()
    with zipfile.ZipFile(folder / "book.epub") as archive:
        assert archive.namelist()[0] == "mimetype"


def test_a_book_can_be_replayed(book):
    folder, result, _ = book
    done = l2mac(folder, "replay", str(result["run"]), "--output", "again", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hash by hash" in done.stdout
    assert book.OPINION in done.stdout


def cards(body, _: int) -> ScriptedReply:
    """Write a card that the domain's own command refuses, then a right one; try a tool that the domain lacks."""
    tools = {tool["function"]["name"] for tool in body.get("tools", [])}
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    if tools == {"submit_plan"}:
        return ScriptedReply(tool_calls=[("submit_plan", {"steps": ["Write cards/leek-soup.md."]})])
    if tools & CLAIMS.keys():
        return ScriptedReply(tool_calls=[(name, CLAIMS[name]) for name in tools])
    if not tools:
        return ScriptedReply("The card is written.")
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    texts = [CARD.replace("1. Cook", "Cook"), CARD]
    calls = [
        ("write_files", {"files": [{"path": "cards/leek-soup.md", "content": text}]})
        for text in texts
    ]
    script = [
        calls[0],
        ("complete_instruction", {}),
        ("run_tests", {}),
        calls[1],
        ("complete_instruction", {}),
    ]
    return ScriptedReply(tool_calls=[script[min(turn, 4)]])


def test_a_domain_from_a_file_checks_with_its_own_commands_in_the_box(tmp_path: Path):
    file = ROOT / "examples/domains/recipe-cards.toml"
    words = (
        "run",
        "--domain",
        "custom",
        "--domain-file",
        str(file),
        "--output",
        "out",
        "--json",
        "--quiet",
        "a soup",
    )
    with ModelServer(cards) as server:
        done = l2mac(tmp_path, *words, **served(server))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(check["name"], check["verdict"]) for check in json.loads(done.stdout)["checks"]] == [
        ("cards", "passed")
    ]
    told = json.dumps([request.body["messages"] for request in server.requests])
    assert "the steps are not numbered; begin the first with" in told
    assert "not accepted: the checks do not pass" in told
    assert "there is no tool 'run_tests'" in told
    assert "automatic computer that writes recipe cards" in told
    assert (tmp_path / "out/cards/leek-soup.md").read_text() == CARD


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--domain", "custom"),
            "--domain: custom is what a file says; give it with --domain-file",
        ),
        (("--domain-file", "none.toml"), "none.toml: cannot be read"),
        (
            ("--domain-file", "bad.toml"),
            "bad.toml, line 3: prompts.cut_off: line 1, column 9: a '$' is not followed",
        ),
        (
            ("--domain", "book", "--domain-file", "bad.toml"),
            "--domain-file: is for --domain custom",
        ),
        (("--tools", "shell"), "--tools: 'shell' is not a tool of this domain"),
        (("--judge",), "--judge: the domain codebase does not say what to judge"),
    ],
)
def test_domain_errors_are_reported_before_any_model_or_sandbox(
    tmp_path: Path, words: tuple[str, ...], said: str
):
    (tmp_path / "bad.toml").write_text("name = 'bad'\n[prompts]\ncut_off = '$limit, $5'\n")
    done = l2mac(tmp_path, "run", *words, "x", **NOWHERE)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "runs").exists()


def test_prompts_are_listed_shown_exported_and_checked(tmp_path: Path):
    kinds = {
        row["kind"]: row for row in json.loads(l2mac(tmp_path, "prompts", "list", "--json").stdout)
    }
    assert kinds["cut_off"]["placeholders"] == ["limit"]
    shown = json.loads(
        l2mac(tmp_path, "prompts", "show", "system", "--domain", "book", "--json").stdout
    )
    assert "writes books" in shown["text"]
    export = ("prompts", "export", "--domain", "book", "--output", "my.toml")
    assert [l2mac(tmp_path, *export).returncode for _ in range(2)] == [0, 2]
    checked = json.loads(l2mac(tmp_path, "prompts", "check", "my.toml", "--json").stdout)
    assert checked["checks"] == ["book"]
    changed = (tmp_path / "my.toml").read_text().replace("$limit", "$limits")
    (tmp_path / "my.toml").write_text(changed)
    refused = l2mac(tmp_path, "prompts", "check", "my.toml")
    assert (refused.returncode, "$limits is not known there" in refused.stderr) == (2, True)
