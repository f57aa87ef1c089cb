"""The programs of docs/python.md, run unchanged in an empty folder."""

import re

import pytest
from cli import ROOT, Cli
from scripted_models import one_module

PROGRAMS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL
)
SAID = ("completed", "['test_todo.py', 'todo.py']", "hello from the sandbox")


@pytest.mark.parametrize(("program", "said"), list(zip(PROGRAMS, SAID, strict=True)))
def test_programs_of_the_page_work(cli: Cli, program: str, said: str) -> None:
    with cli.serving(one_module.answer):
        assert said in cli.python("-c", program).stdout
