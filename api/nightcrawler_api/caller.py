"""The caller of a request, as services, decisions and records know them.

Every service method takes the caller, also for reads, so that no authorization check can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

CALLER: Final = "nightcrawler_api.caller"
"""The key of the caller in a request's ASGI scope."""

EVERYWHERE: Final = "*"
"""Stands for all namespaces that are served."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A caller's place in the team of a namespace.

    Attributes:
        namespace: The namespace, or `EVERYWHERE`.
        roles: The roles that the caller has there, case-folded.
        admin: Whether everything there is allowed.
        read_only: Whether the team's rights end at seeing; roles may give more.
    """

    namespace: str
    roles: frozenset[str] = frozenset()
    admin: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. Two callers are equal exactly if they may see and do the same.

    Attributes:
        name: For people: in the log, and as creator or executor.
        subject: The identity provider's id of the caller; empty without identity.
        issuer: The identity provider; empty without identity.
        email: The address that the identity provider has verified; empty if it names none.
        groups: The groups that the identity provider names.
        roles: The roles that the caller has in all their namespaces, case-folded.
        memberships: The teams of the caller.
        is_admin: Whether everything is allowed, in all namespaces. So are callers without identity.
        extra: What else the identity provider says, by key; for Kubernetes' authorizers.
        expires: When the credentials expire, in seconds since 1970; None if never.
    """

    name: str
    subject: str = ""
    issuer: str = ""
    email: str = ""
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    memberships: frozenset[Membership] = frozenset()
    is_admin: bool = False
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    expires: float | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """Issuer and subject, which no other caller has; empty without identity."""
        return f"{self.issuer}#{self.subject}" if self.subject else ""

    @property
    def key(self) -> str:
        """What tells this caller from all others."""
        return self.id or self.name

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces of whose teams the caller is; it may have `EVERYWHERE`."""
        return frozenset(membership.namespace for membership in self.memberships)

    @override
    def __str__(self) -> str:
        return self.name


def unidentified(name: str) -> Caller:
    """The caller of every request without identity."""
    return Caller(name, is_admin=True)
