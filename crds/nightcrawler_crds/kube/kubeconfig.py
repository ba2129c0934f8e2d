"""Plain kubeconfigs: a token, a token file, or a client certificate in files.

Everything else (plugins, keys as data, several files) is the official client's; see `officialclient`.
Importing that client adds 10 MB to the facade, measured as PSS, which the goal for the memory of both
processes has no room for. So plain files are read here.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nightcrawler_crds.kube.identity import Identity, fixed_token, token_file


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


_CLUSTER_FIELDS: Final = ("proxy-url", "tls-server-name")
_USER_FIELDS: Final = ("as", "as-uid", "as-groups", "as-user-extra", "auth-provider")
"""Fields that would be ignored, so that requests went to another server or had other rights than configured.

The official client does support auth providers, but sends their secrets without verifying the server.
"""


def refuse_unsupported(cluster: Mapping[str, Any], user: Mapping[str, Any], file: str) -> None:
    """Raise ValueError if a kubeconfig's cluster or user has a field that would be ignored."""
    for fields, entry in ((_CLUSTER_FIELDS, cluster), (_USER_FIELDS, user)):
        for field in fields:
            if entry.get(field):
                raise ValueError(f"{field} is not supported in {file}")


def read_plain(kubeconfig: str) -> Identity | None:
    """The identity in a plain kubeconfig; None if it is not plain, or cannot be parsed.

    Raises:
        ValueError: It does not exist, or has a field that is not supported.
    """
    file = Path(kubeconfig).expanduser()
    if not file.exists() and os.pathsep not in kubeconfig:
        raise ValueError(f"there is no {file}")
    if not file.is_file():  # several files; or a pipe, which can be read only once
        return None
    try:
        written = msgspec.yaml.decode(file.read_bytes(), type=_Kubeconfig)
        context = msgspec.convert(_named(written.contexts, written.current_context).context, _Context)
        cluster = _named(written.clusters, context.cluster).cluster or {}
        user = (_named(written.users, context.user).user or {}) if context.user else {}
    except (OSError, msgspec.MsgspecError, LookupError):
        return None
    refuse_unsupported(cluster, user, str(file))
    try:
        return _identity(file.parent, msgspec.convert(cluster, _Cluster), msgspec.convert(user, _User))
    except ValueError:  # msgspec's too
        return None


def _identity(folder: Path, cluster: _Cluster, user: _User) -> Identity:
    def resolved(path: str | None) -> str | None:
        if path and not (folder / path).is_file():
            raise ValueError(f"{folder / path} is not a file")
        return str(folder / path) if path else None

    if user.token and user.token_file:
        raise ValueError("both a token and a tokenFile")
    trusted = base64.b64decode(cluster.certificate_authority_data or "", validate=True).decode("ascii")
    file = resolved(user.token_file)
    return Identity(
        server=cluster.server.rstrip("/"),
        authority=None if trusted else resolved(cluster.certificate_authority),
        authority_data=trusted or None,
        certificate=resolved(user.client_certificate),
        key=resolved(user.client_key),
        authorization=token_file(Path(file)) if file else fixed_token(user.token),
    )


def _named(entries: list[_Named], name: str) -> _Named:
    return {entry.name: entry for entry in reversed(entries)}[name]
