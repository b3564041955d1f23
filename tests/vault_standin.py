"""A stand-in for Azure Key Vault that speaks its REST interface, "Get Secret", over TLS, on this machine.

Source: Azure Key Vault REST API reference, "Get Secret - Get Secret" (GET {vaultBaseUrl}/secrets/{secret-name}/
{secret-version}?api-version=…); "Authentication, requests and responses" (the challenge of a 401).
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN = "the-token-of-this-process"
RESOURCE = "https://vault.azure.net"


@dataclass
class Vault:
    """Secrets by name, each a list of (version, value), the newest last; and what was asked."""

    url: str
    certificate: Path
    secrets: Mapping[str, list[tuple[str, str]]]
    status: int | None = None
    """Answer everything with this status from now on."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(path, api-version, authorization) of every request."""


@contextlib.contextmanager
def running_vault(folder: Path, secrets: Mapping[str, list[tuple[str, str]]]) -> Iterator[Vault]:
    """A vault that holds ``secrets``, until the block ends; its certificate is put into ``folder``."""
    certificate, key = _certificate(folder)
    vault = Vault("", certificate, secrets)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            version = parse_qs(parts.query).get("api-version", [""])[0]
            vault.asked.append((parts.path, version, self.headers.get("Authorization")))
            status, body = _answer(vault, parts.path, version, self.headers.get("Authorization"))
            content = json.dumps(body).encode()
            self.send_response(status)
            if status == 401:
                self.send_header(
                    "WWW-Authenticate",
                    f'Bearer authorization="https://login.microsoftonline.com/tenant", resource="{RESOURCE}"',
                )
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    vault.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(vault: Vault, path: str, version: str, authorization: str | None) -> tuple[int, object]:
    if authorization is None:
        return 401, _error("Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
    if vault.status is not None:
        return vault.status, _error("Refused", "the canary must not be repeated")
    if authorization != f"Bearer {TOKEN}" or not version:
        return 403, _error("Forbidden", "Caller is not authorized to perform action on resource.")
    _, kind, name, *wanted = path.split("/")
    versions = dict(vault.secrets.get(name, [])) if kind == "secrets" else {}
    number = next((text for text in wanted if text), None) or next(reversed(versions), None)
    if number not in versions:
        return 404, _error(
            "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault."
        )
    return 200, {
        "value": versions[number],
        "id": f"{vault.url}/secrets/{name}/{number}",
        "attributes": {
            "enabled": True,
            "created": 1764000000,
            "updated": 1764000000,
            "recoveryLevel": "Recoverable+Purgeable",
        },
    }


def _error(code: str, message: str) -> object:
    return {"error": {"code": code, "message": message}}


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vault stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "vault.pem", folder / "vault.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
