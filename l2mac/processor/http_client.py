"""The HTTP client of a model's server, whose responses are bounded."""

import base64
import ssl
from collections.abc import Callable, Iterator

import httpx2
import openai

from l2mac.processor.model_settings import ModelSettings

_CONNECT_S = 30
_MOST_BYTES_AT_ONCE = 32 * 1024 * 1024


def make_client(
    settings: ModelSettings,
    bound: Callable[[httpx2.Response], None],
    attach: Callable[[dict[str, object]], None],
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
    client: openai.OpenAI
    if settings.api_version:
        client = openai.AzureOpenAI(
            azure_endpoint=settings.address,
            api_version=settings.api_version,
            api_key=settings.api_key or "none",
            admin_api_key="",
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )
    else:
        client = openai.OpenAI(
            base_url=settings.address,
            api_key=settings.api_key or "none",
            admin_api_key="",
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )
    client.organization = client.project = None
    return client


class BoundedStream(httpx2.SyncByteStream):
    """A response body that ends at a deadline.

    The deadline holds even if the server keeps sending bytes that form no event.

    Args:
        response: The response whose body is bounded. The stream replaces the response's own.
        clock: A monotonic clock in seconds.
        deadline: The time of that clock at which the body must have ended.
    """

    def __init__(
        self, response: httpx2.Response, *, clock: Callable[[], float], deadline: float
    ) -> None:
        stream = response.stream
        if not isinstance(stream, httpx2.SyncByteStream):
            raise TypeError("only responses of a synchronous client can be bounded")
        content_type = response.headers.get("content-type", "")
        self._stream = stream
        self._clock = clock
        self._deadline = deadline
        self._is_event_stream = content_type.startswith("text/event-stream")

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in pieces.

        Raises:
            httpx2.ReadTimeout: The deadline has passed.
            httpx2.RemoteProtocolError: One line of an event stream, or the whole of another body,
                is larger than 32 MiB.
        """
        held = 0
        for piece in self._stream:
            if self._clock() > self._deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            line_end = piece.rfind(b"\n") if self._is_event_stream else -1
            held = held + len(piece) if line_end < 0 else len(piece) - line_end - 1
            if held > _MOST_BYTES_AT_ONCE:
                raise httpx2.RemoteProtocolError("the answer is too large")
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
