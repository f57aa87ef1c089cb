"""Books and custom domains from the command line to the export, with a real engine."""

import json
import zipfile

import pytest
from cli import ROOT, Cli, ResultJson
from scripted_models import book as book_model

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

NOWHERE = {
    "L2MAC_BASE_URL": "http://127.0.0.1:9/v1",
    "L2MAC_MODEL": "m",
    "DOCKER_HOST": "unix:///none.sock",
}
CARD = "# Leek Soup\n\n## Ingredients\n\n- 3 leeks\n\n## Steps\n\n1. Cook.\n"

Book = tuple[Cli, ResultJson, list[str]]
CLAIMS: dict[str, dict[str, object]] = {
    "submit_requirements": {"requirements": ["There is a soup."]},
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {
        "evidence": [{"requirement": 1, "files": ["cards/leek-soup.md"], "tests": []}]
    },
}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """Return the command line, one run of a book, and the last message of each request."""
    cli = Cli(tmp_path_factory.mktemp("book"))
    with cli.serving(book_model.answer) as server:
        result = cli.result(
            "run", "--domain", "book", "--judge", "--output", "out", "--quiet", "a book of bread"
        )
    return cli, result, [request.messages[-1].content for request in server.requests]


def test_book_is_written_checked_in_the_sandbox_and_exported(
    book: Book,
) -> None:
    cli, result, _ = book
    assert {
        path: (cli.home / "out" / path).read_text() for path in book_model.FILES
    } == book_model.FILES
    checks = {check["name"]: (check["verdict"], check["summary"]) for check in result["checks"]}
    assert checks["outline"] == ("passed", "2 of 2 chapters written")


def test_model_gets_every_finding_with_its_place(
    book: Book,
) -> None:
    told = "\n".join(book[2])
    for finding in (
        "- chapters/02-oven.md: has 15 words where the outline asks for 25; write about 10 more",
        (
            "- chapters/02-oven.md:1: 'Chapter 2: The Ofen' is not the outline's title;"
            " write '# Chapter 2: The Oven'"
        ),
        "- chapters/02-oven.md:3: 'TODO' was left in; write the finished text in its place",
        "- chapters/02-oven.md:3: there is no chapter 7; correct the number",
        "- chapters/02-oven.md:3: 'Catherine' is near to 'Katherine'",
        "- chapters/01-the-flour.md: is not written yet; it is chapter 1 of the outline: write it",
    ):
        assert finding in told


def test_second_opinion_is_shown(book: Book) -> None:
    opinions = [(opinion["path"], opinion["text"]) for opinion in book[1]["opinions"]]
    assert opinions == [
        (path, book_model.OPINION) for path in sorted(book_model.FILES) if path != "outline.md"
    ]


def test_book_is_exported_as_one_document_into_a_new_file(
    book: Book,
) -> None:
    cli, result, _ = book
    for form in ("md", "html", "epub"):
        words = ("export", result["run"], "--format", form, "--output", f"book.{form}")
        cli.run(*words)
        assert "Name a new file." in cli.run(*words, code=2).stderr
    assert (cli.home / "book.md").read_text().startswith("# A Small Book of Bread\n")
    assert "<td>hiss</td>" in (cli.home / "book.html").read_text()
    with zipfile.ZipFile(cli.home / "book.epub") as archive:
        assert archive.namelist()[0] == "mimetype"


def test_book_can_be_replayed(book: Book) -> None:
    cli, result, _ = book
    done = cli.run("replay", result["run"], "--output", "again", "--quiet")
    assert "all files have the recorded hashes" in done.stdout
    assert book_model.OPINION in done.stdout


def cards(body: dict[str, object], _: int) -> ScriptedReply:
    """Write a card that the domain's check refuses, try a missing tool, write a correct card."""
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    if tools == {"submit_plan"}:
        return ScriptedReply(tool_calls=[("submit_plan", {"steps": ["Write cards/leek-soup.md."]})])
    if tools & CLAIMS.keys():
        return ScriptedReply(tool_calls=[(name, CLAIMS[name]) for name in tools])
    if not tools:
        return ScriptedReply("The card is written.")
    turn = sum(message.role == "assistant" for message in messages_of(body))
    texts = [CARD.replace("1. Cook", "Cook"), CARD]
    calls: list[tuple[str, dict[str, object]]] = [
        ("write_files", {"files": [{"path": "cards/leek-soup.md", "content": text}]})
        for text in texts
    ]
    script: list[tuple[str, dict[str, object]]] = [
        calls[0],
        ("complete_instruction", {}),
        ("run_tests", {}),
        calls[1],
        ("complete_instruction", {}),
    ]
    return ScriptedReply(tool_calls=[script[min(turn, 4)]])


def test_domain_from_a_file_runs_its_own_checks_in_the_sandbox(cli: Cli) -> None:
    file = ROOT / "examples/domains/recipe-cards.toml"
    words = (
        "run",
        "--domain",
        "custom",
        "--domain-file",
        str(file),
        "--output",
        "out",
        "--quiet",
        "a soup",
    )
    with cli.serving(cards) as server:
        result = cli.result(*words)
    assert [(check["name"], check["verdict"]) for check in result["checks"]] == [
        ("cards", "passed")
    ]
    told = json.dumps([request.body["messages"] for request in server.requests])
    assert "the steps are not numbered; begin the first with" in told
    assert "not accepted: the checks do not pass" in told
    assert "there is no tool 'run_tests'" in told
    assert "automatic computer that writes recipe cards" in told
    assert (cli.home / "out/cards/leek-soup.md").read_text() == CARD


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--domain", "custom"),
            "The domain custom requires --domain-file.",
        ),
        (("--domain-file", "none.toml"), "none.toml is not readable"),
        (
            ("--domain-file", "bad.toml"),
            "bad.toml: prompts.truncated (line 3) has a '$' without a name at line 1, column 9",
        ),
        (
            ("--domain", "book", "--domain-file", "bad.toml"),
            "--domain-file requires --domain custom, not book.",
        ),
        (("--tools", "shell"), "--tools names 'shell', which is not a tool of this domain"),
        (("--judge",), "--judge requires a domain that names what to judge, unlike codebase."),
    ],
)
def test_domain_errors_are_reported_before_any_model_or_sandbox(
    cli: Cli, words: tuple[str, ...], said: str
) -> None:
    (cli.home / "bad.toml").write_text("name = 'bad'\n[prompts]\ntruncated = '$limit, $5'\n")
    assert said in cli.run("run", *words, "x", code=2, **NOWHERE).stderr
    assert not cli.runs.exists()


def test_prompts_are_listed_shown_exported_and_checked(cli: Cli) -> None:
    kinds = {row["kind"]: row for row in cli.rows("prompts", "list")}
    assert kinds["truncated"]["placeholders"] == ["limit"]
    shown = cli.json("prompts", "show", "system", "--domain", "book")
    assert "writes books" in str(shown["text"])
    for code in (0, 2):
        cli.run("prompts", "export", "--domain", "book", "--output", "my.toml", code=code)
    assert cli.json("prompts", "check", "my.toml")["checks"] == ["book"]
    changed = (cli.home / "my.toml").read_text().replace("$limit", "$limits")
    (cli.home / "my.toml").write_text(changed)
    assert "unknown $limits" in cli.run("prompts", "check", "my.toml", code=2).stderr
