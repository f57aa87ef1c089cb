"""What servers say when they refuse, and what it is taken to mean."""

import pytest

from l2mac.processor.error_mapping import ErrorKind, Redactor, judge, refused, retry_after_s

OVERFLOWS = {
    "llama.cpp": "request (20030 tokens) exceeds the available context size (16384 tokens), try increasing it",
    "llama.cpp 2025": "the request exceeds the available context size. try increasing the context size",
    "llama-cpp-python": "Requested tokens (757) exceed context window of 512",
    "OpenAI": "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.",
    "OpenAI responses": "Your input exceeds the context window of this model.",
    "vLLM": "'max_tokens' is too large: 4096. This model's maximum context length is 4096 tokens",
    "vLLM 2026": "this model's maximum context length is 4096 tokens, but the prompt contains 5000 input tokens",
    "vLLM prompt": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "SGLang": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "LM Studio": "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with "
    "context length of only 4096 tokens, which is not enough.",
    "LM Studio keep": "The number of tokens to keep from the initial prompt is greater than the context length.",
    "LM Studio MLX": "Context size has been exceeded.",
    "Ollama": "the input length exceeds the context length",
    "TGI": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
    "Groq": "Please reduce the length of the messages or completion.",
    "Mistral": "Prompt contains 65673 tokens, too large for model with 32768 maximum context length",
    "Gemini": "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "xAI": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Anthropic": "prompt is too long: 213462 tokens > 200000 maximum",
    "Bedrock": "Input is too long for requested model.",
    "Kimi": "Your request exceeded model token limit: 262144",
}


@pytest.mark.parametrize("words", OVERFLOWS.values(), ids=OVERFLOWS)
@pytest.mark.parametrize("status", [400, 500, None])
def test_an_overflow_is_known_by_its_words(words: str, status: int | None) -> None:
    assert judge(status, "", words) is ErrorKind.OVERFLOW


@pytest.mark.parametrize("code", ["context_length_exceeded", "400 exceed_context_size_error"])
def test_an_overflow_is_known_by_its_code(code: str) -> None:
    assert judge(400, code, "no") is ErrorKind.OVERFLOW


@pytest.mark.parametrize(
    ("status", "words", "trouble"),
    [
        (
            429,
            "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
            ErrorKind.PASSING,
        ),
        (
            429,
            "You exceeded your current quota, please check your plan and billing details.",
            ErrorKind.PASSING,
        ),
        (
            400,
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
            ErrorKind.REQUEST,
        ),
        (503, "Loading model", ErrorKind.PASSING),
        (404, "The model `x` does not exist.", ErrorKind.MODEL),
        (404, 'model "x" not found, try pulling it first', ErrorKind.MODEL),
        (400, "x is not a valid model ID", ErrorKind.REQUEST),
        (400, "model x is not a valid model ID", ErrorKind.MODEL),
        (403, "Project `p` does not have access to this: model not found", ErrorKind.MODEL),
        (404, "Not Found", ErrorKind.ADDRESS),
        (405, "Method Not Allowed", ErrorKind.ADDRESS),
        (308, "", ErrorKind.ADDRESS),
        (413, "Request Entity Too Large", ErrorKind.OVERFLOW),
        (500, "tools param requires --jinja flag", ErrorKind.REQUEST),
        (
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            ErrorKind.REQUEST,
        ),
        (422, "Field required", ErrorKind.REQUEST),
    ],
)
def test_refusals_of_other_servers_are_classified(
    status: int, words: str, trouble: ErrorKind
) -> None:
    assert judge(status, "", words) is trouble


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"message": "no", "code": 400}, "no"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"loc": ["body"]}]}, '[{"loc": ["body"]}]'),
        ({"message": {"detail": "no"}}, '{"detail": "no"}'),
        ("<html>no</html>", "<html>no</html>"),
        ("", "no reason given"),
        (None, "no reason given"),
        ([1], "[1]"),
    ],
)
def test_error_bodies_of_any_form_are_read(body: object, text: str) -> None:
    assert refused(400, body, Redactor(())).text == text


def test_an_error_in_a_stream_may_state_its_status() -> None:
    assert refused(None, {"message": "no", "code": 401}, Redactor(())).kind is ErrorKind.KEY
    assert refused(None, {"message": "no", "code": "odd"}, Redactor(())).kind is ErrorKind.PASSING


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "inf"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT",
                "date": "Wed, 21 Oct 2026 07:28:30 GMT",
            },
            0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:00 -0000",
                "date": "Wed, 21 Oct 2026 07:28:30 GMT",
            },
            None,
        ),
    ],
)
def test_how_long_to_wait_is_read_as_seconds_or_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "the key hush-hush is wrong",
        "x" * 1990 + "hush-hush",
        "hush\u200b-hush",
        "hush-hush" * 9000,
        "ahush-hushb",
    ],
)
def test_a_secret_is_taken_out(text: str) -> None:
    line = Redactor(["hush-hush"]).line(text)
    assert "hush" not in line
    assert len(line) <= 2000


@pytest.mark.parametrize(
    "text", ["sk-abcdef123456", "Incorrect API key provided: ab***********yz."]
)
def test_texts_like_keys_are_redacted(text: str) -> None:
    assert Redactor(()).line(text).endswith("[redacted]")


def test_short_texts_are_not_redacted() -> None:
    assert Redactor(["", "a"]).line("a banana") == "a banana"
