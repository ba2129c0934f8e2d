"""From the claims of a verified token to its caller; pure.

Identity providers write groups and roles as a text, a list, or somewhere inside other claims (Keycloak's
`realm_access.roles`), so both are found by a path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nightcrawler_api.caller import Caller
from nightcrawler_crds.plaintext import plain_line

LEEWAY_SECONDS: Final = 30.0
"""How far the clocks of this machine and of the identity provider may differ."""
_MOST_NAMES: Final = 5_000
_LONGEST_NAME: Final = 256
_LONGEST_SUBJECT: Final = 512


class Refused(Exception):
    """A token that is not accepted; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What tokens must say, and where they name what.

    Attributes:
        issuer: The only accepted `iss`.
        audiences: One of them must be in `aud`.
        groups: Path of the claim with the caller's groups.
        roles: Path of the claim with the caller's roles.
        names: Claims with the caller's name for people, the first that there is counts; then `sub`.
    """

    issuer: str
    audiences: frozenset[str]
    groups: str = "groups"
    roles: str = "roles"
    names: tuple[str, ...] = ("name", "preferred_username", "email")


def caller_of(claims: Mapping[str, Any], rules: ClaimRules, now: float) -> Caller:
    """The caller of a token whose signature is right, not placed in teams yet.

    Raises:
        Refused: It is of another issuer, for somebody else, expired, not valid yet, or names nobody.
    """
    if claims.get("iss") != rules.issuer:
        raise Refused(f"the token is not from {rules.issuer}, which is the only issuer accepted here")
    if rules.audiences.isdisjoint(strings_in(claims.get("aud"))):
        wanted = " or ".join(sorted(rules.audiences))
        raise Refused(f"the token is meant for others: its audience has to be {wanted}")
    expires = _time(claims, "exp")
    if expires is None:
        raise Refused("the token has no expiry (exp), and is not accepted without")
    if expires <= now - LEEWAY_SECONDS:
        raise Refused("the token has expired; sign in again")
    for claim in ("nbf", "iat"):
        moment = _time(claims, claim)
        if moment is not None and moment > now + LEEWAY_SECONDS:
            raise Refused(f"the token is not valid yet ({claim}): is the clock of this machine wrong?")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > _LONGEST_SUBJECT:
        raise Refused("the token does not say who it is about (sub)")
    return Caller(
        _name(claims, rules, subject),
        subject=subject,
        issuer=rules.issuer,
        email=_email(claims),
        groups=frozenset(strings_in(value_at(claims, rules.groups))),
        roles=frozenset(role.casefold() for role in strings_in(value_at(claims, rules.roles))),
        expires=expires + LEEWAY_SECONDS,
    )


def _time(claims: Mapping[str, Any], claim: str) -> float | None:
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"the token's {claim} is no time")
    return float(value)


def _name(claims: Mapping[str, Any], rules: ClaimRules, subject: str) -> str:
    for claim in (*rules.names, "sub"):
        value = value_at(claims, claim)
        # It ends up in terminals, logs and annotations.
        if isinstance(value, str) and (name := plain_line(value).strip()[:_LONGEST_NAME]):
            return name
    return subject[:_LONGEST_NAME]


def _email(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    vouched = claims.get("email_verified", True) in (True, "true")
    return email if vouched and isinstance(email, str) and len(email) <= _LONGEST_NAME else ""


def value_at(claims: Mapping[str, Any], path: str) -> Any:
    """What is at a path of claims, whose parts are separated by dots; None if nothing is.

    Claims may have dots in their names, as URLs have: the longest name that fits counts.
    """
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        value = claims.get(".".join(parts[:end]))
        if value is None:
            continue
        if end == len(parts):
            return value
        if isinstance(value, Mapping) and (found := value_at(value, ".".join(parts[end:]))) is not None:
            return found
    return None


def strings_in(value: Any) -> list[str]:
    """The texts in a claim: itself, or those in a list; lists may be in lists."""
    found: list[str] = []
    for text in _strings(value):
        if len(found) == _MOST_NAMES:
            raise Refused(f"the token names more than {_MOST_NAMES} groups or roles")
        found.append(text)
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
