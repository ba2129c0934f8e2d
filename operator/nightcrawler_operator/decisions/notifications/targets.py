"""Where messages go: the targets in the installation's Secret and in the namespaces' own. Pure.

A namespace's Secret replaces the installation's channel by channel, never key by key: were a URL of one
combined with a password of the other, a team could have the installation's password sent to itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from nightcrawler_crds import names
from nightcrawler_crds.kube.noticeviews import SecretValues
from nightcrawler_crds.v1alpha1 import CHANNELS, conditions

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("smtp-url", "email-from", "email-to"),
    "slack": ("slack-webhook-url",),
    "webhook": ("webhook-url", "webhook-secret"),
}
"""The keys of each channel. All of a channel are taken from one Secret; email-to may be missing."""
_OPTIONAL: Final = "email-to"
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how Standard Webhooks mark a secret, not one
_SECRET_BYTES: Final = range(24, 65)
_SMTP_PORTS: Final = {"smtps": 465, "smtp": 587}


@dataclass(frozen=True, slots=True, repr=False)
class WebTarget:
    """A URL that messages are posted to; `secret` signs those of webhooks."""

    url: str
    secret: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class MailTarget:
    """A mail server, and the address that e-mails are from.

    `implicit_tls`: TLS from the first byte (smtps); otherwise by STARTTLS, without which nothing is sent.
    """

    host: str
    port: int
    implicit_tls: bool
    sender: str
    user: str = ""
    password: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetProblem:
    """Why a channel has no target that can be used; the message never has a value of a Secret in it."""

    reason: str
    message: str


Target = WebTarget | MailTarget
Targets = Mapping[str, Target | TargetProblem]
"""By channel; all channels are there."""


class _UnusableError(Exception):
    """A target cannot be used; the message names the key and says what it takes."""


def targets_of(own: SecretValues | None, installation: SecretValues | None) -> Targets:
    """The targets for the workflows of a namespace."""
    return {channel: _target(channel, own, installation) for channel in CHANNELS}


def usable(targets: Targets) -> frozenset[str]:
    """The channels for which there is a target."""
    return frozenset(channel for channel, one in targets.items() if not isinstance(one, TargetProblem))


def _target(
    channel: str, own: SecretValues | None, installation: SecretValues | None
) -> Target | TargetProblem:
    keys = _KEYS[channel]
    whose = "the Secret nightcrawler-notifications of the namespace"
    values = own if own is not None and any(own.text(key) for key in keys) else None
    if values is None and installation is not None and any(installation.text(key) for key in keys):
        values, whose = installation, "the installation's Secret"
    if values is None:
        wanted = " and ".join(key for key in keys if key != _OPTIONAL)
        return TargetProblem(
            conditions.NO_TARGET,
            f"{channel} has no target: put {wanted} into a Secret {names.NOTIFICATIONS_SECRET} in the "
            "workflow's namespace, or have the installation's set",
        )
    missing = [key for key in keys if not values.text(key) and key != _OPTIONAL]
    if missing:
        message = f"{channel} has no target: {whose} lacks {' and '.join(missing)}"
        return TargetProblem(conditions.NO_TARGET, message)
    try:
        return _MAKERS[channel](values)
    except _UnusableError as error:
        return TargetProblem(conditions.INVALID_TARGET, f"{channel} cannot be used: in {whose}, {error}")


def _webhook(values: SecretValues) -> Target:
    secret = values.text("webhook-secret")
    try:
        bare = secret.removeprefix(_SECRET_PREFIX).rstrip("=")
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) not in _SECRET_BYTES:
        raise _UnusableError(
            "webhook-secret is not the base64 of 24 to 64 bytes, with or without whsec_ before it: "
            "`openssl rand -base64 32` makes one"
        )
    return WebTarget(_https("webhook-url", values), secret)


def _slack(values: SecretValues) -> Target:
    return WebTarget(_https("slack-webhook-url", values))


def _https(key: str, values: SecretValues) -> str:
    url = values.text(key)
    parts, port = _split(url)
    if parts is None or parts.scheme.lower() != "https" or not parts.hostname or port == 0:
        raise _UnusableError(f"{key} must be a URL that begins with https://")
    return url


def _mail(values: SecretValues) -> Target:
    parts, port = _split(values.text("smtp-url"))
    if parts is None or parts.scheme.lower() not in _SMTP_PORTS or not parts.hostname:
        raise _UnusableError(
            "smtp-url must be like smtps://user:password@mail.example.com:465, or smtp://...:587 for "
            "STARTTLS; special characters in user and password are escaped, such as %40 for @"
        )
    scheme = parts.scheme.lower()
    sender = values.text("email-from")
    addresses = tuple(one.strip() for one in values.text("email-to").replace(",", " ").split())
    for key, one in [("email-from", sender), *(("email-to", address) for address in addresses)]:
        if not _is_address(one):
            raise _UnusableError(f"{key} has something in it that is no e-mail address")
    return MailTarget(
        host=parts.hostname,
        port=port or _SMTP_PORTS[scheme],
        implicit_tls=scheme == "smtps",
        sender=sender,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        recipients=addresses,
    )


def _split(url: str) -> tuple[SplitResult | None, int | None]:
    """The parts of a URL and its port; None if it is not one."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return None, None
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        return None, None


def _is_address(text: str) -> bool:
    name, at, domain = text.rpartition("@")
    return bool(name and at and domain) and text.isascii() and text.isprintable() and " " not in text


_MAKERS: Final[Mapping[str, Callable[[SecretValues], Target]]] = {
    "email": _mail,
    "slack": _slack,
    "webhook": _webhook,
}
