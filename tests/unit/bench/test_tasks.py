"""Tasks, variants and HumanEval's problems are read from files, or refused with the line."""

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from scripted_models import bench

from l2mac.bench.benchmark import TaskChoice, prepare
from l2mac.bench.humaneval import read_problems
from l2mac.bench.task import Task
from l2mac.bench.task_file import read_task, shipped_names, shipped_task
from l2mac.bench.variant import Variant, check_variants, method_variant, parse_variant
from l2mac.errors import SettingsError
from l2mac.settings.settings import Settings, load_settings

# Of the paper (arXiv 2310.02003, App. E): how many features each task has, in which groups.
PAPER = {
    "url-shortener": [4, 1, 4, 4, 3, 1],
    "microblogging": [3, 2, 3, 2, 2, 3, 2, 1, 2, 1],
    "online-chat": [2, 2, 2, 5, 3, 2, 1, 2],
    "recipes": [4, 2, 3, 3, 3, 3, 2],
    "event-planner": [4, 3, 3, 3, 3, 3, 2, 2, 3, 2],
    "finances": [3, 3, 3, 3, 2],
}
TASK = """name = "mine"
title = "Mine"
prompt = "Write it."
interface = "It is `mine.py`."

[[groups]]
name = "First"
features = ["It is there."]

[[groups]]
name = "Second"
features = ["It is good.", "It is quick."]

[handwritten]
file = "mine.txt"
tests = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.txt").write_text("def test_it():\n    import mine\n")
    return tmp_path


def read(folder: Path, text: str) -> Task:
    path = folder / "mine.toml"
    path.write_text(text)
    return read_task(path)


@pytest.mark.parametrize("name", PAPER)
def test_the_tasks_of_the_paper_have_its_features_in_its_groups(name: str) -> None:
    assert [len(group.features) for group in shipped_task(name).groups] == PAPER[name]


def test_every_shipped_task_is_complete_and_numbers_each_feature_once() -> None:
    assert {*PAPER, "smoke"} == set(shipped_names())
    for name in shipped_names():
        task = shipped_task(name)
        assert task.name == name
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", task.text, re.MULTILINE)]
        assert numbers == list(range(1, len(task.features) + 1))


def test_url_shortener_tests_use_only_names_from_its_prompt() -> None:
    task = shipped_task("url-shortener")
    assert task.handwritten is not None
    assert (
        task.handwritten.tests
        == len(re.findall(r"^def test_", task.handwritten.text, re.MULTILINE))
        == 9
    )
    imported = set(re.findall(r"from (\w+) import (\w+)", task.handwritten.text))
    assert imported == {("shortener", "Service")}
    called = set(re.findall(r"service\.(\w+)\(", task.handwritten.text))
    assert {name for name in called if f"`{name}(" not in task.text} == set()


def test_a_task_of_ones_own_is_read_with_its_tests(folder: Path) -> None:
    task = read(folder, TASK)
    assert task.features == ("It is there.", "It is good.", "It is quick.")
    assert task.handwritten is not None
    assert task.handwritten.text.startswith("def test_it")
    assert "It is `mine.py`." in task.text


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (
            'title = "Mine"',
            'titel = "Mine"',
            r"titel \(line 2\) is not a key|title is invalid: Field required",
        ),
        ('prompt = "Write it."', "prompt = 7", r"prompt \(line 3\) "),
        ('prompt = "Write it."', 'prompt = "  "', r"prompt \(line 3\) "),
        ('name = "mine"', 'name = "../mine"', r"name \(line 1\) "),
        ('features = ["It is there."]', "features = []", r"groups\[1\].features \(line 8\) "),
        (
            '"It is quick."',
            '"IT is  there."',
            r"groups\[2\].features \(line 12\) repeat the feature",
        ),
        ("tests = 1", "tests = 0", r"handwritten.tests \(line 16\) "),
        (
            'file = "mine.txt"',
            'file = "../mine.txt"',
            r"handwritten.file \(line 15\) .*without a folder",
        ),
        (
            'file = "mine.txt"',
            'file = "none.txt"',
            r"handwritten.file \(line 15\) .*cannot be read",
        ),
        (
            'interface = "It is `mine.py`."',
            "",
            r"handwritten \(line 14\) requires a prompt that names the tests' imports",
        ),
        ('title = "Mine"', "title = Mine", r"is not valid TOML: .*line 2"),
    ],
)
def test_task_file_errors_name_their_line(
    folder: Path, before: str, after: str, problem: str
) -> None:
    assert before in TASK
    with pytest.raises(SettingsError, match=problem):
        read(folder, TASK.replace(before, after))


def test_a_task_with_nothing_to_measure_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="nothing else to measure"):
        read(folder, 'name = "a"\ntitle = "A"\nprompt = "Write it."\n')


def test_a_task_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_task(tmp_path / "none.toml")


def choice(
    folder: Path,
    *,
    tasks: tuple[str, ...] = (),
    task_files: tuple[Path, ...] = (),
    variants: tuple[Variant, ...] = (),
    seeds: int = 1,
) -> TaskChoice:
    return TaskChoice(
        tasks=tasks,
        task_files=task_files,
        humaneval=None,
        variants=variants,
        seeds=seeds,
        folder=folder / "bench",
    )


def prepared(chosen: TaskChoice) -> int:
    def settings_for(own: Mapping[str, object]) -> Settings:
        given = {"model": "m", "base_url": "http://127.0.0.1:9/v1", **own}
        return load_settings(given, project=chosen.folder / "none", user=chosen.folder / "none")

    with prepare(chosen, settings_for) as all_of_it:
        return len(all_of_it.cells)


def test_a_task_on_existing_code_begins_with_it_or_is_refused_by_its_name(folder: Path) -> None:
    (folder / "mine.toml").write_text(
        TASK.replace("[[groups]]", 'input_dir = "code"\n\n[[groups]]', 1)
    )
    mine = (folder / "mine.toml",)
    with pytest.raises(SettingsError, match=r"mine: input_dir is invalid.*code"):
        prepared(choice(folder / "out", task_files=mine))
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("A = 1\n")
    assert prepared(choice(folder / "out", task_files=mine)) == 1
    with pytest.raises(SettingsError, match="--input-dir requires --method l2mac, not codet"):
        prepared(choice(folder / "out", task_files=mine, variants=(method_variant("codet"),)))


def test_two_tasks_of_one_name_and_no_task_at_all_are_refused(folder: Path) -> None:
    (folder / "mine.toml").write_text(TASK.replace('"mine"', '"smoke"'))
    with pytest.raises(SettingsError, match="--task and --task-file name 'smoke' twice"):
        prepared(choice(folder, tasks=("smoke",), task_files=(folder / "mine.toml",)))
    with pytest.raises(SettingsError, match="No task is given"):
        prepared(choice(folder))


def test_the_cells_are_tasks_by_variants_by_seeds(tmp_path: Path) -> None:
    variants = (method_variant("l2mac"), parse_variant("short = {summary = false}"))
    assert prepared(choice(tmp_path, tasks=("smoke", "finances"), variants=variants, seeds=5)) == 20


def test_a_variant_is_a_name_and_settings() -> None:
    assert parse_variant("short = {summary = false, steps = 3}") == Variant(
        "short", {"summary": False, "steps": 3}
    )
    assert check_variants(()) == (method_variant("l2mac"),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("short", "Write NAME"),
        ("short = 1", "Write one NAME"),
        ("a = {}\nb = {}", "Write one NAME"),
        ("short = {sumary = false}", "names short.sumary, which is not a setting"),
        ("short = {seed = 3}", "--seeds sets"),
        ("short = {api_key = 'x'}", "a key must not be recorded"),
    ],
)
def test_a_variant_that_is_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        parse_variant(text)


def test_variants_have_names_of_their_own_that_folders_can_have() -> None:
    with pytest.raises(SettingsError, match="--variant names 'a' twice"):
        check_variants((Variant("a"), Variant("a")))
    with pytest.raises(SettingsError, match="is not a valid name"):
        check_variants((Variant("../a"),))


@pytest.mark.parametrize("packed", [False, True])
def test_problems_in_humanevals_form_become_tasks(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "ours.jsonl"
    content = bench.problems().encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    tasks = read_problems(path)
    assert [task.name for task in tasks] == ["ours-0", "ours-1", "ours-2"]
    assert {task.suite for task in tasks} == {"humaneval"}
    first = tasks[0]
    assert first.handwritten is not None
    assert "def longest" in first.text
    assert "return max" not in first.text + first.handwritten.text + "".join(first.program)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"prompt": None}, r"prompt \(line 2\) "),
        ({"entry_point": "a b"}, r"entry_point \(line 2\) "),
        ({"test": "assert True"}, r"test \(line 2\) does not define check"),
        ({"task_id": "Ours/0"}, r"task_id \(line 2\) repeats 'Ours/0'"),
    ],
)
def test_a_malformed_problem_is_named_by_its_line(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    path = tmp_path / "ours.jsonl"
    lines: list[dict[str, object]] = [{**bench.PROBLEMS[0]}, {**bench.PROBLEMS[1], **change}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SettingsError, match=problem):
        read_problems(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ours.jsonl has no problems"),
        (b"{\n", r"ours.jsonl \(line 1\) is invalid: "),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_without_problems_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "ours.jsonl"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=problem):
        read_problems(path)
