"""The language model P_LLM behind any OpenAI-compatible server."""
