"""The processor P_LLM: any OpenAI-compatible server. Knows no run and no trace."""
