"""Canaries in all places of a host's secrets are found nowhere in a run's files and output."""

import json
import traceback
from pathlib import Path

import pytest
from cli import Cli
from engine import SandboxMaker
from scripted_models import one_module

from l2mac.errors import ProcessorError
from l2mac.processor.model_settings import ModelSettings
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.testing.faults import EchoesKey, Fault, ServerError, Unauthorized
from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of
from sandbox import Job, SandboxPolicy
from sandbox.engine.connection import Engine

MARK = "canary-7be1c94d"
KEY = f"{MARK}-key-0123456789"
NOWHERE = "http://127.0.0.1:9/v1"
# The program knows the mark backwards, or it would find itself.
LOOK = f'''"""Look for a text in every file and process in reach."""

import os

NEEDLE = b"{MARK[::-1]}"[::-1]
found = []
pids = [name for name in os.listdir("/proc") if name.isdigit()]
paths = [f"/proc/{{pid}}/{{kind}}" for pid in pids for kind in ("environ", "cmdline")]
for root in ("/workspace", "/tmp", "/dev/shm", "/etc", "/home", "/root", "/opt", "/run", "/var"):
    paths += [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
looked = 0
for path in paths:
    try:
        with open(path, "rb") as file:
            if NEEDLE in file.read(1 << 22):
                found.append(path)
        looked += 1
    except OSError:
        pass
print(f"looked at {{looked > 100}}, found {{found}}")
'''


def places_with_the_mark(**places: str | bytes) -> list[str]:
    """Return the names of the places whose text contains the mark."""
    texts = {
        name: text if isinstance(text, bytes) else text.encode() for name, text in places.items()
    }
    return [name for name, text in texts.items() if MARK.encode() in text]


def files_with_the_mark(folder: Path) -> list[str]:
    """Return the files with the mark in name or content, except in the home with the canaries."""
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and "home" not in path.relative_to(folder).parts
    ]
    return [str(path) for path in files if MARK in path.name or MARK.encode() in path.read_bytes()]


def plant(folder: Path) -> Cli:
    """Write a canary to all places of a host's secrets, and return the command line there."""
    home = folder / "home"
    secrets = {
        ".aws/credentials": f"[default]\naws_secret_access_key = {MARK}-aws-file\n",
        ".docker/config.json": json.dumps(
            {
                "auths": {"registry.invalid": {"identitytoken": f"{MARK}-registry"}},
                "HttpHeaders": {"X-Key": f"{MARK}-h"},
            }
        ),
        ".netrc": f"machine localhost login x password {MARK}-netrc\n",
        ".ssh/id_ed25519": f"{MARK}-ssh\n",
        ".config/l2mac/config.toml": f'api_key = "{MARK}-config"\n',
        "key": f"{KEY}\n",
    }
    for name, content in secrets.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    secret = {
        "HOME": str(home),
        "OPENAI_API_KEY": f"{MARK}-environment",
        "AWS_SECRET_ACCESS_KEY": f"{MARK}-aws",
        "GITHUB_TOKEN": f"{MARK}-github",
        "HTTPS_PROXY": f"http://user:{MARK}-proxy@127.0.0.1:9",
        "https_proxy": f"http://user:{MARK}-proxy@127.0.0.1:9",
        "L2MAC_API_KEY_FILE": str(home / "key"),
    }
    return Cli(
        folder,
        **secret,
        XDG_CONFIG_HOME="",
        L2MAC_LOG_LEVEL="debug",
        L2MAC_MODEL="scripted",
        L2MAC_COVERAGE="off",
        L2MAC_REQUIREMENTS="off",
    )


class Spy:
    """A scripted model that searches the sandbox, and inspects the engine meanwhile."""

    def __init__(self, engine: Engine, runs: Path) -> None:
        self._api, self._runs = engine.api, runs
        self.seen: dict[str, str] = {}
        self.told = ""

    def answer(self, body: dict[str, object], index: int) -> ScriptedReply:
        turns = sum(message.role == "assistant" for message in messages_of(body))
        tools = tool_names_of(body)
        if "run_python_file" not in tools or turns == 0:
            return one_module.answer(body, index)
        if turns == 1:
            files = [{"path": "look.py", "content": LOOK}]
            calls: list[tuple[str, dict[str, object]]] = [
                ("write_files", {"files": files}),
                ("run_python_file", {"path": "look.py"}),
            ]
            return ScriptedReply("look", tool_calls=calls)
        self.told = json.dumps(body["messages"])
        self._inspect_engine()
        return one_module.answer(body, index)

    def _inspect_engine(self) -> None:
        (run,) = self._runs.iterdir()
        (container,) = self._api.containers(filters={"label": f"org.l2mac.run={run.name}"})
        facts = self._api.inspect_container(container["Id"])
        volumes = [
            self._api.inspect_volume(mount["Name"])
            for mount in facts["Mounts"]
            if mount.get("Name")
        ]
        image = self._api.inspect_image(facts["Image"])  # type: ignore[no-untyped-call] # no stub
        history = self._api.history(facts["Image"])  # type: ignore[no-untyped-call] # no stub
        self.seen = {
            "container": json.dumps(facts),
            "volumes": json.dumps(volumes),
            "image": json.dumps(image),
            "history": json.dumps(history),
        }


def test_no_host_secret_reaches_the_sandbox_the_trace_or_the_output(
    tmp_path: Path, engine: Engine
) -> None:
    cli = plant(tmp_path)
    spy = Spy(engine, cli.runs)
    with cli.serving(spy.answer, key=KEY) as server:
        done = cli.run("run", "x", "--json", "--output", "out")
    shown = cli.run("show", "--json")
    exported = cli.run("export", "last", "--output", "exported")

    assert any(KEY in value for request in server.requests for value in request.headers.values())
    assert "looked at True, found []" in spy.told
    said = {
        "output": done.stdout,
        "log": done.stderr,
        "show": shown.stdout + shown.stderr,
        "export": exported.stderr,
    }
    assert len(spy.seen) == 4
    assert places_with_the_mark(told=spy.told, **spy.seen, **said) == []
    assert files_with_the_mark(tmp_path) == []


@pytest.mark.parametrize(
    "fault",
    [Unauthorized(), EchoesKey(), ServerError(500, retry_after="0")],
    ids=lambda fault: type(fault).__name__,
)
def test_refusing_server_leaves_no_secret_in_output_or_trace(tmp_path: Path, fault: Fault) -> None:
    cli = plant(tmp_path)
    with cli.serving(lambda *_: fault) as server:
        url = server.base_url.replace("http://", f"http://user:{MARK}-url@")
        done = cli.run("run", "x", code=6, L2MAC_BASE_URL=url)
    assert server.requests
    assert places_with_the_mark(output=done.stdout, log=done.stderr) == []
    assert files_with_the_mark(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        NOWHERE,
        f"http://user:{MARK}-url@127.0.0.1:9/v1",
        f"https://user:{MARK}-url@nowhere.invalid/v1",
    ],
)
def test_failed_connection_shows_no_secret_in_the_error_or_its_causes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{MARK}-proxy@127.0.0.1:9")
    settings = ModelSettings(model="m", base_url=url, api_key=KEY)
    with (
        pytest.raises(ProcessorError) as failure,
        OpenAIProcessor(settings, sleep=lambda _: None) as processor,
    ):
        processor.negotiate(lambda _: None)
    text = "".join(traceback.format_exception(failure.value))
    assert (
        places_with_the_mark(
            error=str(failure.value), representation=repr(failure.value), chain=text
        )
        == []
    )


def test_secret_search_finds_a_canary_in_every_kind_of_place(
    tmp_path: Path, open_sandbox: SandboxMaker
) -> None:
    """The negative control: one canary in each kind of place is found there."""
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0))
    sandbox.write({"look.py": LOOK.encode(), "planted.txt": KEY.encode()})
    leaking = f"SECRET={KEY} python3 look.py"
    told = sandbox.run([Job("look", ("sh", "-c", leaking))]).jobs[0].output.head.decode()
    assert "/workspace/planted.txt" in told
    assert "/environ" in told
    assert "/cmdline" in told

    request = {"Config": {"Env": [f"OPENAI_API_KEY={KEY}"]}}
    places = dict.fromkeys(
        ("container", "volumes", "image", "history", "output", "log", "error"), json.dumps(request)
    )
    assert places_with_the_mark(**places, clean="nothing") == list(places)
    for name in (
        "runs/x/trace.jsonl",
        "runs/x/objects.pack",
        "out/file.py",
        f"out/{MARK}",
        "home/key",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(KEY if MARK not in name else "")
    assert len(files_with_the_mark(tmp_path)) == 4
