import pytest

from l2mac.errors import SettingsError, reason_of


@pytest.mark.parametrize(
    ("field", "problem", "sentence"),
    [
        ("--exclude", "--exclude requires --input-dir.", "--exclude requires --input-dir."),
        ("l2mac.toml: steps", "too many", "l2mac.toml: steps: too many"),
    ],
)
def test_a_settings_error_always_names_its_field(field: str, problem: str, sentence: str) -> None:
    error = SettingsError(field, problem)
    assert str(error) == sentence
    assert (error.field, error.problem) == (field, problem)


def test_the_reason_of_a_system_error_has_no_number() -> None:
    assert reason_of(FileNotFoundError(2, "No such file", "x")) == "No such file"
    assert reason_of(ValueError("not a number")) == "not a number"
