"""Who may do what: the table of docs/security.md, row by row, and against an oracle that knows no rules."""

from __future__ import annotations

import itertools
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.auth.decisions import access_for, granted, may_create
from nightcrawler_api.auth.teams import TeamRules, placed
from nightcrawler_api.caller import EVERYWHERE, Caller, Membership, unidentified
from nightcrawler_api.state.protection import Protection, Protections
from nightcrawler_api.workflows.drafts import difference
from nightcrawler_crds.words.access import ALL, Access
from tests.support.views import workflow

V, X, E, D, F = Access.VIEW, Access.EXECUTE, Access.EDIT, Access.DELETE, Access.FULL
NOTHING: Final[frozenset[Access]] = frozenset()
TEAM: Final = frozenset((V, X, E, D))
NS: Final = "default"


def caller(subject: str, *places: Membership, admin: bool = False, roles: tuple[str, ...] = ()) -> Caller:
    return Caller(
        subject,
        subject=subject,
        issuer="https://login",
        memberships=frozenset(places),
        is_admin=admin,
        roles=frozenset(role.casefold() for role in roles),
    )


def place(namespace: str = NS, *roles: str, admin: bool = False, read_only: bool = False) -> Membership:
    return Membership(
        namespace, frozenset(role.casefold() for role in roles), admin=admin, read_only=read_only
    )


def protection(
    visibility: str | None = None, creator: str = "https://login#ann", **permissions: str
) -> Protection:
    security: dict[str, Any] = {} if visibility is None else {"visibility": visibility}
    if permissions:
        security["permissions"] = [{"role": role, "access": access} for role, access in permissions.items()]
    annotations = {"nightcrawler.dev/creator-id": creator} if creator else {}
    return Protections().of(workflow(annotations=annotations, config={"security": security}))


ANN: Final = caller("ann", place())
BOB: Final = caller("bob", place())
VIEWER: Final = caller("vera", place(NS, "Viewer"))
SCIENTIST: Final = caller("sam", place(), roles=("Data Scientist",))
READER: Final = caller("rita", place(read_only=True))
OUTSIDER: Final = caller("otto", place("other", "Data Scientist"), roles=("Data Scientist", "Viewer"))
ROOT: Final = caller("root", admin=True)
LEAD: Final = caller("lea", place(admin=True))
EVERYBODY: Final = (ANN, BOB, VIEWER, SCIENTIST, READER, OUTSIDER, ROOT, LEAD)

ROLES: Final = {"Data Scientist": "execute, EDIT", "Viewer": "View Only"}
_FULL: Final = {"ann": ALL, "root": ALL, "lea": ALL}

TABLE: Final[list[tuple[str, Protection, dict[str, frozenset[Access]]]]] = [
    ("Private", protection("Private"), _FULL),
    (
        "Team",
        protection("Team"),
        _FULL | {"bob": TEAM, "vera": TEAM, "sam": TEAM, "rita": frozenset((V,))},
    ),
    (
        "not set",
        protection(None),
        _FULL | {"bob": TEAM, "vera": TEAM, "sam": TEAM, "rita": frozenset((V,))},
    ),
    (
        "Public",
        protection("Public"),
        _FULL | {"bob": TEAM, "vera": TEAM, "sam": TEAM, "rita": frozenset((V,)), "otto": frozenset((V,))},
    ),
    (
        "Private with permissions",
        protection("Private", **ROLES),
        _FULL | {"vera": frozenset((V,)), "sam": frozenset((V, X, E))},
    ),
    (
        "Team with permissions",
        protection("Team", **ROLES),
        _FULL
        | {
            "bob": frozenset((V,)),
            "vera": frozenset((V,)),
            "sam": frozenset((V, X, E)),
            "rita": frozenset((V,)),
        },
    ),
    (
        "Public with permissions",
        protection("Public", **ROLES),
        _FULL
        | {
            "bob": frozenset((V,)),
            "vera": frozenset((V,)),
            "sam": frozenset((V, X, E)),
            "rita": frozenset((V,)),
            "otto": frozenset((V,)),
        },
    ),
    ("Full Access", protection("Private", Viewer="Full Access"), _FULL | {"vera": ALL}),
    ("created by kubectl", protection("Private", ""), {"root": ALL, "lea": ALL}),
]


@pytest.mark.parametrize(("what", "kind", "may"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table_of_the_documentation(
    what: str, kind: Protection, may: dict[str, frozenset[Access]]
) -> None:
    assert {one.subject: granted(one, kind) for one in EVERYBODY} == {
        one.subject: may.get(one.subject, NOTHING) for one in EVERYBODY
    }


def test_without_identity_everybody_may_do_everything() -> None:
    for _, kind, _ in TABLE:
        assert granted(unidentified("anonymous"), kind) == ALL


def test_who_has_left_the_team_has_left_what_they_created() -> None:
    assert granted(caller("ann"), protection("Team")) == NOTHING
    assert granted(caller("ann", place("other")), protection("Public")) == {V}


def test_a_subject_of_another_issuer_is_not_the_creator() -> None:
    other = Caller("ann", subject="ann", issuer="https://elsewhere", memberships=frozenset((place(),)))
    assert granted(other, protection("Private")) == NOTHING
    assert granted(Caller("ann", memberships=frozenset((place(),))), protection("Private", "")) == NOTHING


def test_words_written_by_kubectl_that_there_are_not_grant_nothing_and_take_from_the_team() -> None:
    assert granted(VIEWER, protection("Private", Viewer="Everything")) == NOTHING
    assert granted(BOB, protection("Team", Viewer="Everything")) == {V}
    assert granted(BOB, protection("everybody")) == NOTHING
    nonsense = workflow(
        config={"security": {"permissions": ["a", {"role": 1}, {"role": "x"}], "visibility": 3}}
    )
    assert granted(BOB, Protections().of(nonsense)) == NOTHING
    assert granted(BOB, Protections().of(workflow(config={"security": "all"}))) == TEAM


def oracle(
    *, visibility: str, roles: dict[str, str], admin: bool, creator: bool, member: bool, has: set[str]
) -> set[str]:
    """What the table says, without any of the program's words."""
    if admin or (member and creator):
        return {"View", "Execute", "Edit", "Delete", "Full Access"}
    may: set[str] = set()
    for role, access in roles.items():
        if member and role in has:
            if access == "Full Access":
                return {"View", "Execute", "Edit", "Delete", "Full Access"}
            may |= {"View"} | ({access} if access != "View Only" else set())
    if member and visibility in ("Team", "Public"):
        may |= {"View"} if roles else {"View", "Execute", "Edit", "Delete"}
    if visibility == "Public":
        may |= {"View"}
    return may


_ACCESS: Final = ("Full Access", "View Only", "View", "Execute", "Edit", "Delete")


@given(
    st.sampled_from(["Private", "Team", "Public"]),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(_ACCESS)),
    st.tuples(*[st.booleans()] * 3),
    st.sets(st.sampled_from("ab")),
    st.booleans(),
)
def test_every_combination_is_decided_as_the_oracle_has_it(
    visibility: str, roles: dict[str, str], facts: tuple[bool, ...], has: set[str], everywhere: bool
) -> None:
    admin, creator, member = facts
    kind = protection(visibility, "https://login#me" if creator else "https://login#ann", **roles)
    places = [place(EVERYWHERE if everywhere else NS, *has)] if member else [place("other", *has)]
    me = caller("me", *places, admin=admin)
    expected = oracle(
        visibility=visibility, roles=roles, admin=admin, creator=creator, member=member, has=has
    )
    assert {word.value for word in granted(me, kind)} == expected


def test_the_team_creates_and_who_only_reads_does_not() -> None:
    assert [may_create(one, NS) for one in EVERYBODY] == [True, True, True, True, False, False, True, True]
    assert [may_create(one, "other") for one in (OUTSIDER, ANN, LEAD, ROOT)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("old", "new", "takes"),
    [
        ({}, {}, {E}),
        ({"description": "a"}, {"description": "b"}, {E}),
        ({}, {"config": {"schedule": {"type": "cron"}}}, {X}),
        ({"config": {"schedule": {}}}, {"config": {}}, {X}),
        ({}, {"suspend": True}, {X}),
        ({}, {"config": {"security": {"visibility": "Public"}}}, {F}),
        ({"config": {"security": {}, "retries": 1}}, {}, {F, E}),
        # It is no config, which is refused once it is known that the caller may change it.
        ({}, {"config": False}, {E}),
        ({"config": {"security": {}, "schedule": {}}}, {"config": 1}, {F, X}),
        ({"config": {"schedule": {}}}, {"config": {"schedule": {"cron": "* * * * *"}}, "tags": []}, {X, E}),
        (
            {"config": {"security": {"visibility": "Team"}}},
            {"config": {"security": {"visibility": "Team"}}},
            {E},
        ),
    ],
)
def test_what_a_change_takes(old: dict[str, Any], new: dict[str, Any], takes: set[Access]) -> None:
    assert access_for(old, difference(old, new)) == takes


RULES: Final = TeamRules.model_validate_json(
    """{"admins": {"groups": ["platform"], "roles": ["Operator"]},
    "teams": [
      {"namespaces": ["vision", "nightly"], "groups": [
        {"name": "engineers", "roles": ["Data Scientist"]}, {"name": "leads", "admin": true}]},
      {"namespaces": ["*"], "groups": [{"name": "auditors", "readOnly": true}]},
      {"namespaces": ["speech"], "groups": [{"name": "*"}]}]}"""
)
_ANYONE: Final = Membership("speech")


@pytest.mark.parametrize(
    ("groups", "roles", "memberships", "admin"),
    [
        ((), (), (), False),
        (("Engineers",), (), (), False),
        (("engineers",), (), (place("vision", "data scientist"), place("nightly", "data scientist")), False),
        (("leads",), (), (place("vision", admin=True), place("nightly", admin=True)), False),
        (("auditors",), (), (place(EVERYWHERE, read_only=True),), False),
        (("platform",), (), (), True),
        ((), ("operator",), (), True),
    ],
)
def test_a_teams_file_places_callers(
    groups: tuple[str, ...], roles: tuple[str, ...], memberships: tuple[Membership, ...], admin: bool
) -> None:
    who = Caller("a", subject="a", issuer="i", groups=frozenset(groups), roles=frozenset(roles))
    found = placed(RULES, who)
    assert (found.memberships, found.is_admin) == (frozenset((*memberships, _ANYONE)), admin)
    # What they were before counts for nothing.
    assert placed(RULES, placed(TeamRules(), found)) == found
    assert placed(TeamRules(), found) == who


def test_several_memberships_add_up() -> None:
    both = caller("a", place(read_only=True), place(EVERYWHERE, "Viewer"))
    assert granted(both, protection("Team")) == TEAM
    assert granted(both, protection("Private", Viewer="Edit")) == {V, E}
    for one, other in itertools.permutations((place(admin=True), place(read_only=True))):
        assert granted(caller("a", one, other), protection("Private")) == ALL
