"""Messages for wrong input, in the terms of the user's own command."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from l2mac.cli.main import l2mac
from l2mac.errors import L2macError
from l2mac.settings.settings import template

OURS = ("L2MAC_MODEL", "L2MAC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Return a runner in an empty folder, without model, server and runs."""
    monkeypatch.chdir(tmp_path)
    variables = {"XDG_CONFIG_HOME": str(tmp_path), "L2MAC_RUNS_DIR": str(tmp_path / "runs")}
    return CliRunner(env=variables | dict.fromkeys(OURS))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("show", "No runs are recorded in"),
        ("export x", "--output is missing."),
        ("export x --output a --into b", "--output and --into exclude each other."),
        ("export x --into b --format md", "--format requires --output, not --into."),
        ("bench --task smoke --methods x", "--methods names 'x', which is not a method."),
        ("run x", "No model is configured. Name the model with --model NAME"),
        ("run x --model m", "No server is configured. Set OPENAI_API_KEY"),
        ("run x --model m --preset azure", "--preset azure requires the address of your server."),
        ("runs prune --older-than 3", "--older-than '3' is not an age."),
    ],
)
def test_wrong_input_is_answered_in_its_own_terms(
    runner: CliRunner, command: str, sentence: str
) -> None:
    done = runner.invoke(l2mac, command, standalone_mode=False)
    assert isinstance(done.exception, L2macError)
    assert str(done.exception).startswith(sentence)
    assert str(done.exception).endswith(".")


def test_init_config_keeps_every_earlier_file(runner: CliRunner, tmp_path: Path) -> None:
    folder = tmp_path / "l2mac"
    folder.mkdir()
    (folder / "config.toml").write_text("steps = 5\n")
    for _ in range(2):
        done = runner.invoke(l2mac, "init-config", standalone_mode=False)
        assert done.exception is None
    contents = {path.name: path.read_text() for path in folder.iterdir()}
    assert contents == {
        "config.toml": template(),
        "config.toml.bak": "steps = 5\n",
        "config.toml.bak2": template(),
    }
