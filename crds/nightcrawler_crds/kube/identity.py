"""Who we are to the API server, and where it is; and the identity that a Pod has.

Inside a Pod this is all there is to it: the service account's token, and the cluster's address in the
environment.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Authorization = Callable[[bool], Awaitable[str | None]]
"""Returns the `Authorization` header's value, given whether the API server refused the previous one.

Raises OSError or ValueError if the credentials cannot be read.
"""


async def anonymous(_refused: bool) -> str | None:
    """No `Authorization` header: there is a client certificate, or none is needed."""
    return None


@dataclass(frozen=True, slots=True)
class Identity:
    """The API server's address, the authority that signs its certificate, and our own credentials.

    `authority_data` is PEM; `authority`, `certificate` and `key` are paths of PEM files.
    """

    server: str
    authority: str | None = None
    authority_data: str | None = None
    certificate: str | None = None
    key: str | None = None
    verified: bool = True
    authorization: Authorization = anonymous


def in_pod() -> bool:
    """Whether this process runs in a Pod that has a service account's token."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (_SERVICE_ACCOUNT / "token").exists()


def pod_identity() -> Identity:
    """The identity of this Pod's service account.

    Raises:
        ValueError: The service account has no certificate authority.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    authority = _SERVICE_ACCOUNT / "ca.crt"
    if not authority.is_file():
        raise ValueError(f"the Pod's identity has no {authority}")
    return Identity(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authority=str(authority),
        authorization=token_file(_SERVICE_ACCOUNT / "token"),
    )


def pod_identity_place() -> Path:
    """The directory of a Pod's identity, for messages."""
    return _SERVICE_ACCOUNT


def fixed_token(token: str | None) -> Authorization:
    """A token that never changes; None for no header."""

    async def authorization(_refused: bool) -> str | None:
        return f"Bearer {token}" if token else None

    return authorization


def token_file(file: Path) -> Authorization:
    """The token in a file, read each time: tokens of service accounts are rotated."""

    async def authorization(_refused: bool) -> str | None:
        return _bearer(file)  # a few hundred bytes, about once a minute: no thread for that

    return authorization


def _bearer(file: Path) -> str:
    token = file.read_text().strip()
    if not token:
        raise ValueError(f"{file} is empty")
    return f"Bearer {token}"
