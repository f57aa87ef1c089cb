"""Several models in one run: routing, keys, context windows and costs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from l2mac.control.effects import Prices
from l2mac.domains.loader import load_domain
from l2mac.errors import ContextOverflow, SettingsError
from l2mac.processor.messages import Message, Reply, Request, Role, ToolCall, Usage
from l2mac.processor.protocol import Watcher
from l2mac.processor.routing import RoleModel, RoleProcessor, role_of
from l2mac.runs.wiring import make_plan, make_processors, role_prices
from l2mac.settings.settings import Settings, load_settings
from l2mac.testing.model_server import ModelServer, ScriptedReply
from l2mac.testing.processor import ScriptedProcessor

KEY, OTHER_KEY = "main-key-0123456789", "plan-key-0123456789"
NO_USAGE = Usage()


class Client(ScriptedProcessor):
    """A scripted processor with a name."""

    model = "named"

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        return "native"

    def use_protocol(self, name: str) -> None:
        assert name

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("L2MAC_", "OPENAI_", "OPENROUTER_", "AZURE_")):
            monkeypatch.delenv(name)


def settings(tmp_path: Path, in_user: str = "", **flags: object) -> Settings:
    user = tmp_path / "config.toml"
    user.write_text(in_user, encoding="utf-8")
    return load_settings(flags, project=tmp_path / "none.toml", user=user)


def asked(purpose: str, text: str = "x", most: int = 100) -> Request:
    return Request(messages=(Message(Role.USER, text),), purpose=purpose, max_reply_tokens=most)


def unwatched(_: str) -> None:
    """Ignore the text."""


@contextmanager
def two_servers() -> Iterator[tuple[ModelServer, ModelServer]]:
    def answer(*_: object) -> ScriptedReply:
        return ScriptedReply("yes", model="")

    with ModelServer(answer) as main, ModelServer(answer) as other:
        yield main, other


@pytest.mark.parametrize(
    ("purpose", "role"),
    [
        *((purpose, "plan") for purpose in ("plan", "reflect", "coverage", "replan")),
        *((purpose, "judge") for purpose in ("requirements", "judge")),
        *((purpose, "write") for purpose in ("turn", "summary", "", "what is to come")),
    ],
)
def test_each_purpose_has_its_role(purpose: str, role: str) -> None:
    assert role_of(purpose) == role


def test_role_with_its_own_server_never_sends_the_main_key_there(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(OTHER_KEY)
    with two_servers() as (main, other):
        text = f'[roles.plan]\nmodel = "large"\nbase_url = "{other.base_url}"\n'
        models = []
        for key in ("", f'api_key_file = "{tmp_path}/key"\n'):
            chosen = settings(
                tmp_path,
                text + key,
                model="small",
                base_url=main.base_url,
                api_key=KEY,
                tool_protocol="native",
            )
            with make_processors(chosen) as processor:
                processor.use_protocol("native")
                processor.complete(asked("turn"), unwatched)
                models.append(processor.complete(asked("plan"), unwatched).model)
        assert models == ["large", "large"]
        assert [(one.body["model"], one.headers["authorization"]) for one in main.requests] == [
            ("small", f"Bearer {KEY}")
        ] * 2
        plans = [one for one in other.requests if one.messages[-1].content == "x"]
        assert [one.headers["authorization"] for one in plans] == [
            "Bearer none",
            f"Bearer {OTHER_KEY}",
        ]


def test_role_at_the_same_server_uses_the_main_key(tmp_path: Path) -> None:
    with two_servers() as (main, _):
        chosen = settings(
            tmp_path,
            base_url=main.base_url,
            api_key=KEY,
            model="small",
            judge_model="strict",
            tool_protocol="native",
        )
        with make_processors(chosen) as processor:
            processor.complete(asked("judge"), unwatched)
        assert {one.body["model"] for one in main.requests} == {"strict"}
        assert {one.headers["authorization"] for one in main.requests} == {f"Bearer {KEY}"}


def test_a_role_without_settings_is_the_main_models(tmp_path: Path) -> None:
    with two_servers() as (main, _):
        with make_processors(
            settings(tmp_path, model="small", base_url=main.base_url)
        ) as processor:
            processor.use_protocol("native")
            for purpose in ("plan", "turn", "judge"):
                processor.complete(asked(purpose), unwatched)
        assert [one.body["model"] for one in main.requests] == ["small"] * 3


def test_the_window_of_another_role_is_kept() -> None:
    plan = Client([Reply(content="a"), Reply(content="b")])
    models = RoleProcessor({"write": RoleModel(Client([]), 8192), "plan": RoleModel(plan, 1000)})
    models.complete(asked("plan", most=900), unwatched)
    models.complete(asked("plan", "x" * 1600, most=900), unwatched)
    with pytest.raises(ContextOverflow, match="1000 tokens"):
        models.complete(asked("plan", "x" * 3200), unwatched)
    assert plan.requests[0].max_reply_tokens == 900
    assert 256 <= plan.requests[1].max_reply_tokens < 500


def test_each_model_is_measured_by_its_own_counts() -> None:
    plan = Client([Reply(content="a", usage=Usage(2000, 1))])
    models = RoleProcessor({"write": RoleModel(Client([]), 8192), "plan": RoleModel(plan, 4000)})
    models.complete(asked("plan", "x" * 3200), unwatched)
    with pytest.raises(ContextOverflow):
        models.complete(asked("plan", "x" * 6400), unwatched)


def test_prices_are_those_of_the_role(tmp_path: Path) -> None:
    text = '[roles.plan]\nmodel = "large"\nprompt_price = 30.0\n'
    chosen = settings(
        tmp_path, text, model="small", base_url="http://127.0.0.1:9/v1", completion_price=2.0
    )
    assert role_prices(chosen) == {"plan": Prices(prompt_usd=30.0, completion_usd=2.0)}


def test_recorded_roles_hold_neither_login_nor_key_file(tmp_path: Path) -> None:
    text = (
        '[roles.judge]\nmodel = "j"\nbase_url = "http://me:secret@host/v1"\napi_key_file = "/k"\n'
    )
    plan = make_plan(settings(tmp_path, text, model="m"), "x", (), load_domain("codebase"))
    assert plan.setup["roles"] == {"judge": {"model": "j", "base_url": "http://host/v1"}}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[roles.plan]\nmodle = "x"\n', "roles.plan.modle"),
        ("[roles.plan]\ncontext_tokens = -1\n", "roles.plan.context_tokens"),
        ('[roles.poet]\nmodel = "x"\n', "roles.poet"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, "# one line before\n" + text)
    assert caught.value.field.endswith(f"config.toml: {field}")
    assert "(line 2)" in str(caught.value)


def test_a_role_that_cannot_be_called_is_refused_by_its_name(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path,
        '[roles.plan]\nbase_url = "nowhere"\n',
        model="m",
        base_url="http://127.0.0.1:9/v1",
    )
    with pytest.raises(SettingsError) as caught:
        make_processors(chosen)
    assert caught.value.field == "roles.plan.base_url"


def test_a_project_file_names_no_roles(tmp_path: Path) -> None:
    project = tmp_path / "l2mac.toml"
    project.write_text('[roles.plan]\nbase_url = "http://evil"\n')
    with pytest.raises(SettingsError, match="is not allowed in a project file"):
        load_settings({}, project=project, user=tmp_path / "none.toml")


def test_a_seed_reaches_the_server_the_same_with_every_call(tmp_path: Path) -> None:
    with two_servers() as (main, _):
        with make_processors(settings(tmp_path, model="m", base_url=main.base_url)) as processor:
            processor.use_protocol("native")
            for _ in range(2):
                request = Request(messages=(Message(Role.USER, "x"),), seed=7)
                assert processor.complete(request, unwatched).tool_calls == ()
        assert [one.body["seed"] for one in main.requests] == [7, 7]


def test_a_call_of_another_shape_is_still_a_call() -> None:
    call = ToolCall("1", "a", "{}")
    client = Client([Reply(content="", tool_calls=(call,), usage=NO_USAGE)])
    assert RoleProcessor({"write": RoleModel(client, 1)}).complete(
        asked("turn"), unwatched
    ).tool_calls == (call,)
