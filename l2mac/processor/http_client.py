"""The HTTP client of a model's server, with its timeouts and headers."""

import base64
import ssl
from collections.abc import Callable
from typing import Any

import httpx2
import openai

from l2mac.processor.model_settings import ModelSettings

_CONNECT_S = 30


def make_client(
    settings: ModelSettings,
    bound: Callable[[httpx2.Response], None],
    attach: Callable[[dict[str, Any]], None],
) -> openai.OpenAI:
    """Build the client, without retries, redirects or settings from the environment.

    Retries belong to `RetryPolicy`, the environment to `l2mac.settings`. A redirect would carry the
    messages and the extra headers to a server that the user did not configure.

    Args:
        settings: The server and its settings.
        bound: Receives each response before its body is read.
        attach: Receives each request's extensions before the request is sent.
    """
    # An http address needs no certificates, and loading them takes 30 ms. Without certificates TLS
    # fails closed.
    verify: bool | ssl.SSLContext = True
    if not settings.address.startswith("https:"):
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    quiet_s = min(settings.stall_s, settings.timeout_s)
    http = openai.DefaultHttpx2Client(
        verify=verify,
        timeout=httpx2.Timeout(quiet_s, connect=min(_CONNECT_S, quiet_s)),
        follow_redirects=False,
        event_hooks={"request": [lambda request: attach(request.extensions)], "response": [bound]},
        trust_env=not settings.is_loopback,
    )
    headers = dict(settings.extra_headers)
    if settings.login is not None:
        login = base64.b64encode(":".join(settings.login).encode())
        headers["Authorization"] = "Basic " + login.decode()
    common: dict[str, Any] = {
        "api_key": settings.api_key or "none",
        "admin_api_key": "",
        "max_retries": 0,
        "default_headers": headers,
        "http_client": http,
    }
    client: openai.OpenAI
    if settings.api_version:
        client = openai.AzureOpenAI(
            azure_endpoint=settings.address, api_version=settings.api_version, **common
        )
    else:
        client = openai.OpenAI(base_url=settings.address, **common)
    client.organization = client.project = None
    return client
