"""Help of every command: one summary, and options that fit one line."""

from collections.abc import Iterator

import click
import pytest

from l2mac.cli import exit_codes
from l2mac.cli.main import l2mac


def commands(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from commands(inner, click.Context(inner, info_name=name, parent=context))


ROOT = click.Context(l2mac, info_name="l2mac")
COMMANDS = list(commands(l2mac, ROOT))


def test_summary_of_a_command_is_the_first_line_of_its_help() -> None:
    text = l2mac.get_help(click.Context(l2mac, info_name="l2mac", terminal_width=200))
    for name in l2mac.list_commands(ROOT):
        command = l2mac.get_command(ROOT, name)
        assert command is not None
        assert command.help is not None
        first = command.help.split("\n", 1)[0]
        assert f"  {name:11}  {first}\n" in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_help_of_an_option_is_one_line_that_ends_with_a_full_stop(command: click.Command) -> None:
    options = [one for one in command.params if isinstance(one, click.Option)]
    texts = {one.name: one.help or "" for one in options if one.name not in ("help", "version")}
    assert {
        name: text for name, text in texts.items() if len(text) > 72 or not text.endswith(".")
    } == {}


def test_help_lists_every_exit_code_on_a_line_of_its_own() -> None:
    text = l2mac.get_help(ROOT)
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"\n  {code:5}  {meaning}" in text
