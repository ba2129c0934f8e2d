"""A small OpenID Connect provider on loopback: discovery, keys that rotate, and tokens that it signs.

It serves what facades ask for over HTTP; nobody signs in here, tokens are made by the tests.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from typing_extensions import override

AUDIENCE: Final = "nightcrawler"
Json = dict[str, Any]


class Issuer:
    """The provider.

    Attributes:
        url: The issuer.
        asked: The paths that were asked for, in order.
        answers: The status with which it answers; 200 unless it is to fail.
        discovery: What it says of itself, to be changed by tests.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = 200
        self._keys: dict[str, RSAKey | ECKey] = {}
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/realms/company"
        self.discovery: Json = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.current = ""
        self.rotate()

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more, and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def fetches(self) -> int:
        """How often the keys were fetched."""
        return self.asked.count("/realms/company/keys")

    @property
    def keys(self) -> list[Json]:
        """The public keys, as it serves them."""
        return [
            {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": _algorithm(key)}
            for kid, key in self._keys.items()
        ]

    def rotate(self, *, keep: bool = True, elliptic: bool = False) -> str:
        """Sign with a new key from now on; the id of the key. The old ones are served on with `keep`."""
        if not keep:
            self._keys.clear()
        self.current = f"key-{len(self.asked)}-{time.monotonic_ns()}"
        self._keys[self.current] = ECKey.generate_key("P-256") if elliptic else RSAKey.generate_key(2048)
        return self.current

    def claims(self, subject: str, **claims: Any) -> Json:
        """The claims of a good token, with others in place of, or besides, its own; None leaves one out."""
        now = int(time.time())
        usual: Json = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "name": subject.title(),
        }
        return {name: value for name, value in (usual | claims).items() if value is not None}

    def token(self, subject: str = "jane", **claims: Any) -> str:
        """A good token."""
        return self.signed(self.claims(subject, **claims))

    def signed(self, claims: Json, *, header: Json | None = None, kid: str | None = None) -> str:
        """A token with these claims, signed by the current key or by a named one."""
        kid = kid or self.current
        key = self._keys[kid]
        head: Json = {"alg": _algorithm(key), "kid": kid} | (header or {})
        return jwt.encode({k: v for k, v in head.items() if v is not None}, claims, key, [head["alg"]])

    def shared_secret_token(self, claims: Json) -> str:
        """A token signed by HS256, with the public key as the secret: what a careless verifier accepts."""
        secret = self._keys[self.current].as_pem(private=False)
        parts = [
            _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": self.current}, claims)
        ]
        signed = ".".join(parts)
        return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _algorithm(key: RSAKey | ECKey) -> str:
    return "RS256" if isinstance(key, RSAKey) else "ES256"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], issuer: Issuer) -> None:
        super().__init__(address, _Handler)
        self.issuer = issuer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        issuer = self.server.issuer
        issuer.asked.append(self.path)
        found: Json | None = None
        if self.path == "/realms/company/.well-known/openid-configuration":
            found = issuer.discovery
        elif self.path == "/realms/company/keys":
            found = {"keys": issuer.keys}
        body = json.dumps(found or {}).encode()
        self.send_response(404 if found is None else issuer.answers)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def an_issuer() -> Iterator[Issuer]:
    """A provider, ended when the block is left."""
    made = Issuer()
    made.start()
    try:
        yield made
    finally:
        made.close()
