"""Views of notifications: what a status says of each message, and the Secrets with their targets."""

from __future__ import annotations

from datetime import datetime

import msgspec
from typing_extensions import override

from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.sharing import share


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class NoticeView(_Read, frozen=True):
    """What became of a message; see `v1alpha1.notifications.NoticeStatus` for the meaning."""

    state: str
    time: datetime | None = None
    after: datetime | None = None
    attempts: int | None = None
    last_error: str | None = None
    sent_at: datetime | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "state", "last_error")


class SecretValues:
    """The values of a Secret by key, which nothing shows that formats this object."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, bytes]) -> None:
        self._values = values

    @override
    def __repr__(self) -> str:
        """The keys only."""
        return f"SecretValues({sorted(self._values)})"

    @override
    def __eq__(self, other: object) -> bool:
        """Whether both have the same values."""
        return isinstance(other, SecretValues) and self._values == other._values

    @override
    def __hash__(self) -> int:
        """By the keys."""
        return hash(tuple(sorted(self._values)))

    def text(self, key: str) -> str:
        """A value without surrounding white space; empty if there is none, or it is not UTF-8."""
        try:
            return self._values.get(key, b"").decode().strip()
        except UnicodeDecodeError:
            return ""


class SecretView(msgspec.Struct, rename="camel", frozen=True):
    """A Secret with the targets of notifications."""

    metadata: Meta
    data: dict[str, bytes] | None = None

    @override
    def __repr__(self) -> str:
        """Without its values."""
        return f"SecretView({self.metadata.key})"

    @property
    def values(self) -> SecretValues:
        """Its values."""
        return SecretValues(self.data or {})
