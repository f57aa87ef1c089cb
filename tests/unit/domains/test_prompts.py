import pytest

from l2mac.domains.loader import DOMAINS, load_domain
from l2mac.domains.prompt_set import KINDS, PURPOSES, PromptSet
from l2mac.errors import SettingsError

TEXTS = {
    kind: " ".join(f"<${name}>" for name in sorted(names)) or "Go on."
    for kind, names in KINDS.items()
}


def prompts(**changed: str) -> PromptSet:
    return PromptSet(TEXTS | changed)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_prompts_render(domain: str, kind: str) -> None:
    values = {name: f"value of {name}" for name in KINDS[kind]}
    text = load_domain(domain).prompts.render(kind, **values)
    assert text == text.strip() != ""
    assert all(value in text for value in values.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_prompt_is_refused(kind: str) -> None:
    with pytest.raises(SettingsError, match=f"The prompt '{kind}' is missing"):
        PromptSet({other: text for other, text in TEXTS.items() if other != kind})


def test_an_unknown_prompt_is_refused() -> None:
    with pytest.raises(SettingsError, match="The prompt 'surprise' is not a kind of prompt"):
        prompts(surprise="x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$limit $task", r"an unknown \$task"),
        ("nothing", r"does not use \$limit"),
        (" \n", "is empty"),
        (
            "$limit {braces} are free\nand so on $ 5",
            r"a '\$' without a name at line 2, column 11",
        ),
        (
            "line 1\n  $tusk $limit",
            r"unknown \$tusk at line 2, column 3\. Known are: \$limit",
        ),
        ("$$limit", r"does not use \$limit"),
        ("$limit $", "a '\\$' without a name"),
        ("$limit costs $100", "a '\\$' without a name"),
        ("${limit", "a '\\$' without a name"),
        ("$LIMIT", "does not use|unknown"),
    ],
)
def test_placeholders_that_are_not_those_of_the_kind_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        prompts(truncated=text)


def test_every_prompt_kind_has_a_purpose() -> None:
    assert PURPOSES.keys() == KINDS.keys()


def test_two_dollar_signs_stand_for_one() -> None:
    assert (
        prompts(truncated="$$5 of ${limit} $$ $${x}").render("truncated", limit=7)
        == "$5 of 7 $ ${x}"
    )


@pytest.mark.parametrize(
    "value", ["$task", "${task}", "$$", "{task}", "%s %(x)s", "\\1 \\g<0>", "$", "\udcff"]
)
def test_values_are_taken_as_they_are(value: str) -> None:
    assert prompts().render("truncated", limit=value) == f"<{value}>"


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="files"):
        prompts().render("no_call", instruction="x")


def test_a_value_that_has_no_place_is_an_error() -> None:
    with pytest.raises(KeyError, match="extra"):
        prompts().render("truncated", limit=1, extra=2)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError, match="surprise"):
        prompts().render("surprise")
