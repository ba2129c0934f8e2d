"""The teams file: which groups belong to which namespaces, with which roles, and who administers; pure.

    admins:
      groups: [platform]
      roles: [nightcrawler-admin]
    teams:
    - namespaces: [vision, vision-nightly]
      groups:
      - {name: vision-engineers, roles: [Data Scientist]}
      - {name: vision-leads, admin: true}
      - {name: auditors, readOnly: true}

Groups are compared as the identity provider writes them, roles in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from nightcrawler_api.caller import EVERYWHERE, Caller, Membership
from nightcrawler_crds.settings import DNS_LABEL

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Namespace = Annotated[str, Field(pattern=rf"^(?:{DNS_LABEL}|\*)$", max_length=63)]


class _Part(BaseModel):
    """The base of the file's parts."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Administrators(_Part):
    """Who may do everything, everywhere."""

    groups: tuple[_Name, ...] = ()
    roles: tuple[_Name, ...] = ()


class TeamGroup(_Part):
    """A group, and what its members are in the team."""

    name: _Name
    roles: tuple[_Name, ...] = ()
    admin: bool = False
    read_only: bool = False


class Team(_Part):
    """Namespaces, and the groups whose members are their team."""

    namespaces: tuple[_Namespace, ...] = Field(min_length=1)
    groups: tuple[TeamGroup, ...] = ()


class TeamRules(_Part):
    """The whole file."""

    admins: Administrators = Administrators()
    teams: tuple[Team, ...] = ()


def everyone_of(namespace: str) -> TeamRules:
    """The rules without a file: every authenticated caller is a member of one namespace's team."""
    return TeamRules(teams=(Team(namespaces=(namespace,), groups=(TeamGroup(name=ANYONE),)),))


NOBODY: Final = TeamRules()

ANYONE: Final = "*"
"""The group name that matches every authenticated caller."""


def placed(rules: TeamRules, caller: Caller) -> Caller:
    """A caller with their memberships by these rules, whatever they were before."""
    return replace(
        caller, memberships=frozenset(_memberships(rules, caller)), is_admin=_is_admin(rules.admins, caller)
    )


def _is_admin(admins: Administrators, caller: Caller) -> bool:
    roles = {role.casefold() for role in admins.roles}
    return not caller.groups.isdisjoint(admins.groups) or not caller.roles.isdisjoint(roles)


def _memberships(rules: TeamRules, caller: Caller) -> Iterator[Membership]:
    for team in rules.teams:
        for group in team.groups:
            if group.name != ANYONE and group.name not in caller.groups:
                continue
            roles = frozenset(role.casefold() for role in group.roles)
            namespaces = (EVERYWHERE,) if EVERYWHERE in team.namespaces else team.namespaces
            for namespace in namespaces:
                yield Membership(namespace, roles, admin=group.admin, read_only=group.read_only)
