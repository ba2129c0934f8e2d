"""Who we are to the API server, and where it is: a kubeconfig, or the Pod's own identity.

What nearly every process has is read here: a service account, or a kubeconfig with a token
or with a client certificate in files. The official client knows every other form (plugins, a
client's key as data, several files), but importing it takes 10 MB of memory, so
it is imported only where one of those is met. (Kopf imports it anyhow, so this spares the facade.)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Authorization = Callable[[bool], Awaitable[str | None]]
"""What the header `Authorization` is to say now, given whether the last was refused.

Raises OSError or ValueError if it cannot be had.
"""


async def anonymous(_refused: bool) -> str | None:
    """No authorization: a client certificate is enough, or nothing is asked for."""
    return None


@dataclass(frozen=True, slots=True)
class Identity:
    """The API server's address, whom to trust for it, and what we show it.

    `authority_data` is PEM; `authority`, `certificate` and `key` are paths of PEM files.
    """

    server: str
    authority: str | None = None
    authority_data: str | None = None
    certificate: str | None = None
    key: str | None = None
    verified: bool = True
    authorization: Authorization = anonymous


async def find(kubeconfig: str | None) -> Identity:
    """The identity in the named kubeconfig, else the Pod's, else that of the usual kubeconfig.

    Raises:
        Exception: There is none, or it cannot be used; of any kind where the official client reads it.
    """
    if not kubeconfig and _is_a_pod():
        return _of_this_pod()
    file = kubeconfig or _usual()
    if plain := _plain(file):
        return plain
    # Here and not above: see the module's text.
    from nightcrawler_crds.kube import officialclient  # noqa: PLC0415

    return await officialclient.read(file)


def looked_at(kubeconfig: str | None) -> str:
    """Where `find` looks, for a sentence about its failure."""
    if kubeconfig:
        return kubeconfig
    return f"the identity in {_SERVICE_ACCOUNT}" if _is_a_pod() else f"{_usual()}, and no Pod's identity"


def _usual() -> str:
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _is_a_pod() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (_SERVICE_ACCOUNT / "token").exists()


def _of_this_pod() -> Identity:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    authority = _SERVICE_ACCOUNT / "ca.crt"
    if not authority.is_file():
        raise ValueError(f"the Pod's identity has no {authority}")
    return Identity(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authority=str(authority),
        authorization=_token_in(_SERVICE_ACCOUNT / "token"),
    )


class _Context(msgspec.Struct):
    cluster: str
    user: str = ""


class _Cluster(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    extensions: Any = None


class _User(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_key: str | None = None


class _Named(msgspec.Struct):
    name: str
    context: _Context | None = None
    cluster: dict[str, Any] | None = None
    user: dict[str, Any] | None = None


class _Kubeconfig(msgspec.Struct, rename="kebab"):
    current_context: str
    contexts: list[_Named]
    clusters: list[_Named]
    users: list[_Named] = []


_OF_CLUSTERS: Final = ("proxy-url", "tls-server-name")
_OF_USERS: Final = ("as", "as-uid", "as-groups", "as-user-extra", "auth-provider")
"""What would otherwise be ignored, to talk to another server or with other rights than was written.

The official client does know providers, but sends their secrets without verifying whom to.
"""


def refuse_what_is_not_done(cluster: Mapping[str, Any], user: Mapping[str, Any], file: str) -> None:
    """Raise ValueError if a kubeconfig's cluster or user says what would be ignored."""
    for keys, said in ((_OF_CLUSTERS, cluster), (_OF_USERS, user)):
        for key in keys:
            if said.get(key):
                raise ValueError(f"{key} is not supported in {file}")


def _plain(kubeconfig: str) -> Identity | None:
    """What the file says if it says nothing but what is known here; else None, and so for a broken one.

    Raises:
        ValueError: It is not there, or says what neither this nor the official client does.
    """
    file = Path(kubeconfig).expanduser()
    if not file.exists() and os.pathsep not in kubeconfig:
        raise ValueError(f"there is no {file}")
    if not file.is_file():  # several files; or a pipe, which can be read only once
        return None
    try:
        written = msgspec.yaml.decode(file.read_bytes(), type=_Kubeconfig)
        context = msgspec.convert(_named(written.contexts, written.current_context).context, _Context)
        its_cluster = _named(written.clusters, context.cluster).cluster or {}
        its_user = (_named(written.users, context.user).user or {}) if context.user else {}
    except (OSError, msgspec.MsgspecError, LookupError):
        return None
    refuse_what_is_not_done(its_cluster, its_user, str(file))
    try:
        return _read(file.parent, msgspec.convert(its_cluster, _Cluster), msgspec.convert(its_user, _User))
    except ValueError:  # msgspec's too
        return None


def _read(folder: Path, cluster: _Cluster, user: _User) -> Identity:
    def beside(path: str | None) -> str | None:
        if path and not (folder / path).is_file():
            raise ValueError(f"{folder / path} is no file")
        return str(folder / path) if path else None

    if user.token and user.token_file:
        raise ValueError("a token and a file of it")
    trusted = base64.b64decode(cluster.certificate_authority_data or "", validate=True).decode("ascii")
    token_file = beside(user.token_file)
    return Identity(
        server=cluster.server.rstrip("/"),
        authority=None if trusted else beside(cluster.certificate_authority),
        authority_data=trusted or None,
        certificate=beside(user.client_certificate),
        key=beside(user.client_key),
        authorization=_token_in(Path(token_file)) if token_file else _always(user.token),
    )


def _named(entries: list[_Named], name: str) -> _Named:
    return {entry.name: entry for entry in reversed(entries)}[name]


def _always(token: str | None) -> Authorization:
    async def authorization(_refused: bool) -> str | None:
        return f"Bearer {token}" if token else None

    return authorization


def _token_in(file: Path) -> Authorization:
    """The token that is in the file when asked: those of service accounts are replaced while we run."""

    async def authorization(_refused: bool) -> str | None:
        return _bearer(file)  # a few hundred bytes, about once a minute: no thread for that

    return authorization


def _bearer(file: Path) -> str:
    token = file.read_text().strip()
    if not token:
        raise ValueError(f"{file} is empty")
    return f"Bearer {token}"
