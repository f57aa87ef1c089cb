"""Model servers and gateways that `--preset NAME` knows.

A preset fills only values that are not set otherwise. With a preset, `OPENAI_API_KEY` and
`OPENAI_BASE_URL` are ignored: a key for OpenAI never goes to another server because of a name. The
key of a service, in its own variable, goes only to the address of that service. For any other
address, `api_key_file` holds the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind of server.

    Attributes:
        base_url: Default address; empty if every user has a different one.
        key_variable: Environment variable of its key, by its documentation.
        url_variable: Environment variable of its address, by its documentation, or empty.
        api_type: `openai` or `azure`.
        api_version: API version of Azure.
        note: Advice for the first run, one sentence.
    """

    base_url: str = ""
    key_variable: str = ""
    url_variable: str = ""
    api_type: str = "openai"
    api_version: str = ""
    note: str = ""

    @property
    def is_one_server(self) -> bool:
        """Whether it is one service on the Internet, not a program of the user."""
        return self.base_url.startswith("https:")


PRESETS: Mapping[str, Preset] = {
    # platform.openai.com/docs/api-reference/authentication
    "openai": Preset(
        base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY", note="OpenAI itself"
    ),
    # learn.microsoft.com/azure/ai-foundry/openai/reference: paths, the header api-key; 2024-10-21
    # is the last dated version that is generally available. The variables are those of the openai
    # package and of Microsoft's documentation.
    "azure": Preset(
        key_variable="AZURE_OPENAI_API_KEY",
        url_variable="AZURE_OPENAI_ENDPOINT",
        api_type="azure",
        api_version="2024-10-21",
        note="model: name of the deployment. base_url: endpoint of the resource, without /openai",
    ),
    # docs.ollama.com/openai and docs.ollama.com/context-length; longer prompts are truncated
    "ollama": Preset(
        base_url="http://127.0.0.1:11434/v1",
        note="truncates long prompts silently. Set OLLAMA_CONTEXT_LENGTH and context_tokens alike",
    ),
    # github.com/ggml-org/llama.cpp, tools/server/README.md: port 8080, key LLAMA_API_KEY, and the
    # flag --jinja for native tool calls
    "llama.cpp": Preset(
        base_url="http://127.0.0.1:8080/v1",
        key_variable="LLAMA_API_KEY",
        note="llama-server. Native tool calls need --jinja, otherwise JSON by schema is used",
    ),
    # docs.vllm.ai, OpenAI-compatible server: port 8000, --api-key (VLLM_API_KEY)
    "vllm": Preset(
        base_url="http://127.0.0.1:8000/v1",
        key_variable="VLLM_API_KEY",
        note="native tool calls need --enable-auto-tool-choice and --tool-call-parser",
    ),
    # lmstudio.ai/docs/developer/openai-compat
    "lm-studio": Preset(
        base_url="http://127.0.0.1:1234/v1",
        note="the context window is set when the model is loaded",
    ),
    # docs.sglang.ai, server arguments: --port 30000, --api-key, --tool-call-parser
    "sglang": Preset(
        base_url="http://127.0.0.1:30000/v1", note="native tool calls need --tool-call-parser"
    ),
    # github.com/oobabooga/text-generation-webui/wiki/12-OpenAI-API: --api, port 5000
    "text-generation-webui": Preset(
        base_url="http://127.0.0.1:5000/v1", note="needs the flag --api"
    ),
    # github.com/LostRuins/koboldcpp, README: port 5001
    "koboldcpp": Preset(
        base_url="http://127.0.0.1:5001/v1", note="--contextsize sets the context window"
    ),
    # localai.io/basics/getting_started
    "localai": Preset(base_url="http://127.0.0.1:8080/v1", key_variable="LOCALAI_API_KEY"),
    # docs.litellm.ai/docs/proxy/quick_start: port 4000; the key is the master key or a virtual one
    "litellm": Preset(
        base_url="http://127.0.0.1:4000/v1",
        key_variable="LITELLM_API_KEY",
        note="the proxy of LiteLLM",
    ),
    # openrouter.ai/docs/quickstart
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"
    ),
    # console.groq.com/docs/openai
    "groq": Preset(base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"),
    # docs.mistral.ai/api
    "mistral": Preset(base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"),
    # api-docs.deepseek.com: the base URL may end in /v1, which is not the version of the model
    "deepseek": Preset(base_url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY"),
    # docs.together.ai/docs/openai-api-compatibility
    "together": Preset(base_url="https://api.together.xyz/v1", key_variable="TOGETHER_API_KEY"),
    # ai.google.dev/gemini-api/docs/openai
    "gemini": Preset(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
}
