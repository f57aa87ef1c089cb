"""A package index on the loopback interface: TLS with its own authority, PEP 503 pages, wheels."""

import hashlib
import http.server
import io
import ssl
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Self

HOST, OTHER = "index.test", "elsewhere.test"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(
    name: str, files: dict[str, str], *, needs: str = "", mode: int = 0o644
) -> tuple[str, bytes]:
    """Return a wheel's file name and content."""
    info = f"{name}-1.0.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    texts = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}",
        f"{info}/WHEEL": _WHEEL,
        f"{info}/RECORD": "",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in texts.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, text)
    return f"{name}-1.0-py3-none-any.whl", content.getvalue()


class WheelIndex:
    """Server of packages, as a context manager on `port`; `authority` is the PEM text to trust.

    Args:
        folder: For keys and certificates.
        packages: Package → file names with contents.
    """

    def __init__(self, folder: Path, packages: dict[str, dict[str, bytes]]) -> None:
        self.packages = packages
        self.asked: list[str] = []
        self.authority = _certify(folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> bytes | None:
        """Return the page or file at a path."""
        self.asked.append(path)
        place, _, name = path.strip("/").partition("/")
        if place == "simple" and name in self.packages:
            links = [
                f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>'
                for file, content in self.packages[name].items()
            ]
            if name == "lured":
                links = [
                    f'<a href="https://{OTHER}/files/lured-1.0-py3-none-any.whl">lured-1.0-py3-none-any.whl</a>'
                ]
            return "\n".join(["<!DOCTYPE html>", *links]).encode()
        if place == "files":
            return next((files[name] for files in self.packages.values() if name in files), None)
        return None

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = index.answer(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header(
                    "Content-Type", "text/html" if "simple" in self.path else "application/zip"
                )
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _certify(folder: Path) -> bytes:
    """Make an authority and a server's certificate, and return the authority's certificate."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    extensions = "\n".join(
        [
            "[v3]",
            f"subjectAltName=DNS:{HOST},DNS:{OTHER}",
            "authorityKeyIdentifier=keyid",
            "basicConstraints=CA:FALSE",
        ]
    )
    (folder / "ext").write_text(extensions)
    openssl(
        "req",
        "-x509",
        *curve,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
    )
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={HOST}")
    signing = (
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "ext",
    )
    openssl(
        "x509", "-req", "-in", "server.csr", *signing, "-extensions", "v3", "-out", "server.pem"
    )
    return (folder / "ca.pem").read_bytes()
