"""Who may do what with a workflow and its runs: the table of the documentation, as rules; pure.

Without identity every caller is an administrator, so that the same rules apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nightcrawler_api.caller import EVERYWHERE, Caller, Membership
from nightcrawler_api.state.protection import Protection
from nightcrawler_crds.words.access import ALL, Access

Words = frozenset[Access]

_NOTHING: Final[Words] = frozenset()
_VIEW: Final[Words] = frozenset((Access.VIEW,))
_TEAM: Final[Words] = frozenset((Access.VIEW, Access.EXECUTE, Access.EDIT, Access.DELETE))


def place_of(caller: Caller, namespace: str) -> Membership | None:
    """The caller's place in the team of a namespace; None if they are not of it."""
    found = [one for one in caller.memberships if one.namespace in (namespace, EVERYWHERE)]
    if not found:
        return None
    return Membership(
        namespace,
        caller.roles.union(*(one.roles for one in found)),
        admin=any(one.admin for one in found),
        read_only=all(one.read_only for one in found),
    )


def _administrator(caller: Caller, place: Membership | None, _: Protection) -> Words:
    return ALL if caller.is_admin or (place is not None and place.admin) else _NOTHING


def _creator(caller: Caller, place: Membership | None, protection: Protection) -> Words:
    # Who has left the team has left what they made there too.
    return ALL if place is not None and caller.id and caller.id == protection.creator else _NOTHING


def _roles(_: Caller, place: Membership | None, protection: Protection) -> Words:
    if place is None:
        return _NOTHING
    granted = [words for role, words in protection.permissions if role in place.roles]
    return _NOTHING.union(*granted)


def _team(_: Caller, place: Membership | None, protection: Protection) -> Words:
    if place is None or protection.visibility == "Private":
        return _NOTHING
    return _VIEW if place.read_only or protection.permissions else _TEAM


def _everyone(_: Caller, __: Membership | None, protection: Protection) -> Words:
    return _VIEW if protection.visibility == "Public" else _NOTHING


_RULES: Final[Sequence[Callable[[Caller, Membership | None, Protection], Words]]] = (
    _administrator,
    _creator,
    # Permissions grant View whatever the visibility.
    _roles,
    # Once there are permissions, they alone say what the team may do beside seeing.
    _team,
    _everyone,
)
"""What each gives adds up."""


def granted(caller: Caller, protection: Protection) -> Words:
    """All that a caller may do with a workflow of this protection; nothing if they do not see it."""
    place = place_of(caller, protection.namespace)
    return _NOTHING.union(*(rule(caller, place, protection) for rule in _RULES))


def sees(caller: Caller, protection: Protection) -> bool:
    """Whether a caller sees workflows of this protection."""
    return Access.VIEW in granted(caller, protection)


def may_create(caller: Caller, namespace: str) -> bool:
    """Whether a caller may create workflows in a namespace: its team may."""
    place = place_of(caller, namespace)
    return caller.is_admin or (place is not None and (place.admin or not place.read_only))


def access_for(current: Mapping[str, Any], changes: Mapping[str, Any]) -> Words:
    """What a merge patch of a workflow's spec takes; Edit if it changes nothing.

    Changing visibility or permissions takes Full Access; changing the schedule takes Execute.
    """
    config = changes.get("config", {})
    if not isinstance(config, Mapping):  # null removes all that there is in it; the rest is refused later
        config = current.get("config") or {}
    found = {_PARTS.get(f"config.{field}", Access.EDIT) for field in config}
    found |= {_PARTS.get(field, Access.EDIT) for field in changes if field != "config"}
    return frozenset(found) or frozenset((Access.EDIT,))


_PARTS: Final[Mapping[str, Access]] = {
    "config.security": Access.FULL,
    "config.schedule": Access.EXECUTE,
    "suspend": Access.EXECUTE,
}
