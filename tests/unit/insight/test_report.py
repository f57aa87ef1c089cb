"""The page, the JUnit document and the summary are inert and bounded for any run."""

import base64
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from source_tree import ROOT
from traces import HALF, HOSTILE, HOSTILE_PATH, TraceBuilder, hostile, known, large, report

from l2mac.cli.insight import report as report_command
from l2mac.control.outcome import CLAIM
from l2mac.errors import SettingsError
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.insight import sections
from l2mac.insight.junit import MOST_TESTS, as_junit
from l2mac.insight.output import write_report
from l2mac.insight.page import as_page
from l2mac.insight.reading import read_insight
from l2mac.insight.series import Insight
from l2mac.insight.summary import as_markdown
from l2mac.safe_text import clean

BUNDLED = ROOT / "examples" / "sessions" / "url-shortener"
MOST_PAGE_BYTES = 600_000
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "span", "strong",
    "code", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption",
    "i", "svg", "path", "rect", "line", "circle", "text", "details", "summary", "footer",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "viewbox", "role", "x", "y", "x1",
    "x2", "y1", "y2", "cx", "cy", "r", "d", "width", "height", "text-anchor", "open",
}  # fmt: skip


class Reader(HTMLParser):
    """Collect what a browser would take for elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def insight_of(lay_down: Callable[[Path], object], folder: Path) -> Insight:
    lay_down(folder / "run")
    return read_insight(folder / "run")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(report_command, words, standalone_mode=False)


def controls(text: str) -> list[str]:
    return [
        one
        for one in text
        if one not in "\n\t" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]


def test_markup_in_a_hostile_run_stays_text(tmp_path: Path) -> None:
    page = as_page(insight_of(hostile, tmp_path))
    reader = Reader(page)
    assert reader.tags <= ELEMENTS
    assert reader.attributes <= ATTRIBUTES
    assert reader.open == []
    assert controls(page) == []
    assert "\ufffe" not in page
    said = "".join(reader.text)
    assert (
        "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&`|\\u202e\\x1b[31m"
        in said
    )
    assert "a/</td><svg onload=alert(3)>\\u202egnp.py" in said


def test_the_search_for_harm_finds_it() -> None:
    reader = Reader("<p onclick='x'><script src='y'></script></p>")
    assert not reader.tags <= ELEMENTS
    assert not reader.attributes <= ATTRIBUTES
    assert controls("\u202e\x1b") != []


def test_the_page_loads_nothing_and_its_policy_allows_its_own_style_alone(tmp_path: Path) -> None:
    page = as_page(insight_of(known, tmp_path))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert (
        re.search(r"url\(|@import|https?:|<script|<link|<img|<iframe|\sstyle=|\shref=|\ssrc=", page)
        is None
    )


def test_page_shows_the_facts_of_the_trace(tmp_path: Path) -> None:
    insight = insight_of(known, tmp_path)
    said = " ".join(Reader(as_page(insight)).text)
    for wanted in (
        "✗ requirements unverified", "1 of 3 requirements are not shown", insight.seal, "Write b.",
        "rewound", "3,200", CLAIM, "2 of 3 requirements are verified",
        "✗ unverified", "2 match, 1 not available", "runsc",
        "sha256:digest", "ab" * 32, "Errors found by each check",
        "Tests passed and failed at each check",
        "Requirements included in the plan and verified in the result",
        "Files over the steps of the run", "window: 4k tokens", "Gaps: not checked",
        "refused by the server", "tokens of rewound calls",
    ):  # fmt: skip
        assert wanted in said, wanted


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    insight = insight_of(lambda folder: TraceBuilder(folder).begin(), tmp_path)
    reader = Reader(as_page(insight))
    assert reader.open == []
    assert "at work or killed" in reader.text


def test_the_page_of_the_bundled_session_is_whole() -> None:
    reader = Reader(as_page(read_insight(BUNDLED)))
    assert reader.open == []
    assert (
        "no session recorded how the run ended; its last check ran in a fresh sandbox"
        in reader.text
    )
    assert "shortener/store.py" in reader.text


def test_page_of_a_large_run_is_bounded_and_counts_omissions(tmp_path: Path) -> None:
    insight = insight_of(large, tmp_path)
    assert insight.events > 10_000
    assert len(insight.files) > 1000
    page = as_page(insight)
    assert len(page.encode()) < MOST_PAGE_BYTES
    for wanted in (
        "2401 checks in 160 places", "2400 calls in 160 columns", "2400 turns in 160 places",
        "The 60 most accessed files; 1940 are omitted", "1700 files are omitted",
        "282 parts are omitted", "2341 earlier checks are omitted",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert len(as_markdown(insight).encode()) < 60_000
    assert "and 370 more" in as_markdown(insight)


def test_no_single_text_makes_a_page_large(tmp_path: Path) -> None:
    def endless(folder: Path) -> None:
        text = "x" * 300_000
        made = TraceBuilder(folder).begin(text).plan(text).instruction(1).call().write("p" * 4000)
        made.check(
            CheckReport(
                (
                    CheckResult(
                        name=text,
                        verdict=Verdict.FAILED,
                        summary=text,
                        findings=(Finding(text, text),) * 25,
                    ),
                )
            )
        )
        made.end("completed", text)

    insight = insight_of(endless, tmp_path)
    assert len(as_page(insight)) < 60_000
    assert len(as_junit(insight)) < 60_000
    assert len(as_markdown(insight)) < 10_000


ANY = st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace").decode())


@given(st.text(max_size=200), ANY, ANY)
def test_reports_of_any_texts_are_well_formed(
    tmp_path_factory: pytest.TempPathFactory, text: str, path: str, test: str
) -> None:
    def any_run(folder: Path) -> None:
        made = TraceBuilder(folder).begin(text).plan(text).instruction(1).call().write(path or "x")
        made.check(report(failed=[f"{path}::{test}"], lint=1, text=test), final=True).end(
            "completed", path
        )

    insight = insight_of(any_run, tmp_path_factory.mktemp("runs"))
    assert Reader(as_page(insight)).open == []
    assert ET.fromstring(as_junit(insight)).tag == "testsuites"
    assert controls(as_markdown(insight)) == []


def test_junit_has_cases_for_verification_checks_and_tests(tmp_path: Path) -> None:
    root = ET.fromstring(as_junit(insight_of(known, tmp_path)))
    cases = [
        (case.get("classname"), case.get("name"), [child.tag for child in case])
        for case in root.iter("testcase")
    ]
    assert cases == [
        ("l2mac.run", "verified in a fresh sandbox", []),
        ("l2mac.checks", "syntax", []),
        ("l2mac.checks", "lint", []),
        ("l2mac.checks", "tests", []),
        ("test_a", "test_a", []),
        ("test_a", "test_b[1-x]", []),
    ]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "0", "errors": "0", "skipped": "0",
    }  # fmt: skip


def test_junit_names_failures_with_their_text(tmp_path: Path) -> None:
    def failing(folder: Path) -> None:
        made = TraceBuilder(folder).begin().plan("a").instruction(1).write("a.py")
        tests = report(
            passed=["t/test_a.py::A::test_a"], failed=["t/test_a.py::A::B::test_b[x::y]"], lint=2
        )
        made.check(tests, final=True).end("checks failed", "in a fresh box")

    root = ET.fromstring(as_junit(insight_of(failing, tmp_path)))
    assert (root.get("failures"), root.get("errors")) == (
        "4",
        "0",
    )  # the verification, lint, tests, the test itself
    (failed,) = (case for case in root.iter("testcase") if case.get("classname") == "t.test_a.A.B")
    assert failed.get("name") == "test_b[x::y]"
    assert [(child.tag, child.text) for child in failed] == [("failure", "it broke")]
    (lint,) = (case for case in root.iter("testcase") if case.get("name") == "lint")
    assert lint[0].text == "a.py:1: lint 1\na.py:2: lint 2"


def test_a_run_that_was_not_verified_is_not_green_in_junit(tmp_path: Path) -> None:
    def unverified(folder: Path) -> None:
        TraceBuilder(folder).begin().plan("a").instruction(1).write("a.py").check(
            report(passed=["t.py::test_a"])
        )

    for number, lay_down in enumerate((unverified, lambda folder: TraceBuilder(folder).begin())):
        root = ET.fromstring(as_junit(insight_of(lay_down, tmp_path / str(number))))
        (case,) = (
            case
            for case in root.iter("testcase")
            if case.get("name") == "verified in a fresh sandbox"
        )
        assert [child.tag for child in case] == ["error"]
        assert root.get("errors") == "1"


def test_a_test_that_its_file_declares_and_that_did_not_run_is_an_error(tmp_path: Path) -> None:
    hidden = CheckResult(
        name="tests", verdict=Verdict.FAILED, summary="1 test not collected",
        outcomes=(("t.py::test_a[1]", "passed"),), declared=("t.py::test_a", "t.py::test_b"),
    )  # fmt: skip

    def hiding(folder: Path) -> None:
        TraceBuilder(folder).begin().plan("a").instruction(1).write("a.py").check(
            CheckReport((hidden,)), final=True
        )

    root = ET.fromstring(as_junit(insight_of(hiding, tmp_path)))
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert (cases["test_a[1]"], cases["test_b"]) == ([], ["error"])


def test_junit_is_bounded_and_omits_passing_tests_first(tmp_path: Path) -> None:
    passed = [f"t.py::test_{number}" for number in range(MOST_TESTS + 50)]

    def many(folder: Path) -> None:
        made = TraceBuilder(folder).begin().plan("a").instruction(1).write("a.py")
        made.check(report(passed=passed, failed=["z.py::test_z"]), final=True)

    text = as_junit(insight_of(many, tmp_path))
    root = ET.fromstring(text)
    assert len(list(root.iter("testcase"))) == MOST_TESTS + 4
    assert [case.get("name") for case in root.iter("testcase") if case.get("classname") == "z"] == [
        "test_z"
    ]
    assert [one.get("value") for one in root.iter("property")] == ["51 more tests are omitted"]


def test_junit_of_a_hostile_run_has_its_texts_as_texts(tmp_path: Path) -> None:
    root = ET.fromstring(as_junit(insight_of(hostile, tmp_path)))
    assert {element.tag for element in root.iter()} <= {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "error",
    }
    assert clean(HOSTILE).replace("\ufffe", "") in {one.text for one in root.iter("failure")}


def test_the_summary_of_a_hostile_run_holds_no_markup(tmp_path: Path) -> None:
    text = as_markdown(insight_of(hostile, tmp_path))
    assert controls(text) == []
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inside = [child.type for token in tokens for child in token.children or ()]
    assert set(inside) <= {"text", "code_inline", "softbreak"}
    assert [token.content.strip() for token in tokens if token.type == "html_block"] == [
        "<!-- l2mac report -->"
    ]
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert headings == ["l2mac: ✓ completed", "Plan", "Last check", "Requirements"]


def test_the_summary_is_read_at_a_glance(tmp_path: Path) -> None:
    text = as_markdown(insight_of(known, tmp_path))
    for wanted in (
        "## l2mac: ✗ requirements unverified", "| instructions done | 3 of 3 |",
        "| tests | 2 passed, 0 failed, 0 skipped |", "| verified in a fresh sandbox | yes |",
        "1. ✓ `Write a.`", "2 of 3 requirements are verified", "- unverified: `B.`",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_the_command_writes_the_page_and_replaces_its_own_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known(tmp_path / "my-run")
    first = invoke(str(tmp_path / "my-run"))
    assert (first.exception, first.output) == (None, "wrote my-run.html\n")
    page = (tmp_path / "my-run.html").read_bytes()
    assert page.startswith(b"<!DOCTYPE html>\n<!-- l2mac report -->")
    assert (
        invoke(
            str(tmp_path / "my-run"), "--output", "my-run.html", "--junit", "new/results.xml"
        ).exception
        is None
    )
    assert (tmp_path / "my-run.html").read_bytes() == page
    assert ET.parse(tmp_path / "new" / "results.xml").getroot().tag == "testsuites"
    assert sorted(os.listdir(tmp_path)) == ["my-run", "my-run.html", "new"]


def test_a_file_that_is_no_report_is_written_over_with_force_alone(tmp_path: Path) -> None:
    known(tmp_path / "run")
    mine = tmp_path / "mine.html"
    mine.write_text("# My l2mac report")
    refused = invoke(str(tmp_path / "run"), "--output", str(mine))
    assert isinstance(refused.exception, SettingsError)
    assert "is not a report of l2mac" in str(refused.exception)
    assert mine.read_text() == "# My l2mac report"
    assert invoke(str(tmp_path / "run"), "--output", str(mine), "--force").exception is None
    assert mine.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("force", [False, True])
def test_a_link_a_folder_or_a_pipe_is_never_written_over(tmp_path: Path, force: bool) -> None:
    (tmp_path / "target").write_text("<!-- l2mac report -->")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "folder", "pipe", ".."):
        with pytest.raises(SettingsError):
            write_report(tmp_path / name, "new", option="--output", force=force)
    assert (tmp_path / "target").read_text() == "<!-- l2mac report -->"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_one_thing_goes_to_standard_output(tmp_path: Path) -> None:
    known(tmp_path / "run")
    run = str(tmp_path / "run")
    assert json.loads(invoke(run, "--json").stdout)["run"] == "run"
    assert invoke(run, "--markdown", "-").stdout.startswith("<!-- l2mac report -->\n\n## l2mac: ")
    both = invoke(run, "--json", "--junit", "-")
    assert isinstance(both.exception, SettingsError)
    assert "standard output" in str(both.exception)
    named = invoke(run, "--json", "--markdown", str(tmp_path / "summary.md"))
    assert json.loads(named.stdout)["format"] == 1
    assert (tmp_path / "summary.md").is_file()


def test_the_series_of_a_hostile_run_are_plain_ascii(tmp_path: Path) -> None:
    hostile(tmp_path / "run")
    said = invoke(str(tmp_path / "run"), "--json").stdout
    assert said.isascii()
    assert json.loads(said)["task"] == HOSTILE + HALF
    assert HOSTILE_PATH in {one["path"] for one in json.loads(said)["files"]}


def test_every_table_has_a_bound() -> None:
    bounds = {name: value for name, value in vars(sections).items() if name.startswith("MOST_")}
    assert len(bounds) >= 7
    assert max(bounds.values()) <= 300


def test_a_page_is_the_same_each_time_it_is_drawn(tmp_path: Path) -> None:
    insight = insight_of(known, tmp_path)
    assert as_page(insight) == as_page(replace(insight))
