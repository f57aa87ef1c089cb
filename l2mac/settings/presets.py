"""What is known of common model servers and gateways, so that `--preset NAME` spares looking it up.

A preset fills only what is not given otherwise. With one, `OPENAI_API_KEY` and `OPENAI_BASE_URL` do not count: a key
that was made for OpenAI never goes to another server because a name was chosen. The key of a service, in its own
variable, goes to that service's address alone; for any other, a key is given by `api_key_file`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind of server.

    Attributes:
        base_url: Where it listens unless told otherwise; empty where every user has an address of their own.
        key_variable: The environment variable that holds its key by its own documentation.
        url_variable: The environment variable that holds its address, likewise; empty if there is none.
        api_type: `openai` or `azure`.
        api_version: For Azure.
        note: What to know before the first run, one sentence.
    """

    base_url: str = ""
    key_variable: str = ""
    url_variable: str = ""
    api_type: str = "openai"
    api_version: str = ""
    note: str = ""

    @property
    def is_one_server(self) -> bool:
        """Whether it is one service on the Internet, not a program that anybody runs anywhere."""
        return self.base_url.startswith("https:")


PRESETS: Mapping[str, Preset] = {
    # platform.openai.com/docs/api-reference/authentication
    "openai": Preset(
        base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY", note="OpenAI itself"
    ),
    # learn.microsoft.com/azure/ai-foundry/openai/reference: paths, the header api-key; 2024-10-21 is the last dated
    # version that is generally available. The variables' names are those of the openai package and of Microsoft's text.
    "azure": Preset(
        key_variable="AZURE_OPENAI_API_KEY",
        url_variable="AZURE_OPENAI_ENDPOINT",
        api_type="azure",
        api_version="2024-10-21",
        note="the model is the deployment's name, the base URL the resource's endpoint without /openai",
    ),
    # docs.ollama.com/openai and docs.ollama.com/context-length; longer prompts are cut without an error
    "ollama": Preset(
        base_url="http://127.0.0.1:11434/v1",
        note="cuts long prompts silently; start it with OLLAMA_CONTEXT_LENGTH and declare the same as context_tokens",
    ),
    # github.com/ggml-org/llama.cpp, tools/server/README.md: --port 8080, --api-key (LLAMA_API_KEY), --jinja for tools
    "llama.cpp": Preset(
        base_url="http://127.0.0.1:8080/v1",
        key_variable="LLAMA_API_KEY",
        note="llama-server; with --jinja it knows native tool calls, without it answers in JSON by schema",
    ),
    # docs.vllm.ai, OpenAI-compatible server: port 8000, --api-key (VLLM_API_KEY)
    "vllm": Preset(
        base_url="http://127.0.0.1:8000/v1",
        key_variable="VLLM_API_KEY",
        note="native tool calls need --enable-auto-tool-choice and --tool-call-parser",
    ),
    # lmstudio.ai/docs/developer/openai-compat
    "lm-studio": Preset(
        base_url="http://127.0.0.1:1234/v1", note="the window is the one the model was loaded with"
    ),
    # docs.sglang.ai, server arguments: --port 30000, --api-key, --tool-call-parser
    "sglang": Preset(
        base_url="http://127.0.0.1:30000/v1", note="native tool calls need --tool-call-parser"
    ),
    # github.com/oobabooga/text-generation-webui/wiki/12-OpenAI-API: --api, port 5000
    "text-generation-webui": Preset(
        base_url="http://127.0.0.1:5000/v1", note="start it with --api"
    ),
    # github.com/LostRuins/koboldcpp, README: port 5001
    "koboldcpp": Preset(base_url="http://127.0.0.1:5001/v1", note="the window is --contextsize"),
    # localai.io/basics/getting_started
    "localai": Preset(base_url="http://127.0.0.1:8080/v1", key_variable="LOCALAI_API_KEY"),
    # docs.litellm.ai/docs/proxy/quick_start: port 4000; the key is the master key or a virtual one
    "litellm": Preset(
        base_url="http://127.0.0.1:4000/v1", key_variable="LITELLM_API_KEY", note="LiteLLM's proxy"
    ),
    # openrouter.ai/docs/quickstart
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"
    ),
    # console.groq.com/docs/openai
    "groq": Preset(base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"),
    # docs.mistral.ai/api
    "mistral": Preset(base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"),
    # api-docs.deepseek.com: the base URL may end in /v1, which has nothing to do with the model's version
    "deepseek": Preset(base_url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY"),
    # docs.together.ai/docs/openai-api-compatibility
    "together": Preset(base_url="https://api.together.xyz/v1", key_variable="TOGETHER_API_KEY"),
    # ai.google.dev/gemini-api/docs/openai
    "gemini": Preset(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
}
