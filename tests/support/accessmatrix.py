"""Who may do what over REST, as an oracle: the documentation's table on one page, and no code of ours.

It knows people, workflows and requests by plain words, and says which status a request has to get.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Who asks. `home` and `other` say what they are in the two namespaces: nothing, team, reader or lead."""

    name: str
    home: str = ""
    other: str = ""
    role: str = ""
    root: bool = False


@dataclass(frozen=True)
class Made:
    """A workflow: in which namespace, by whom it was created, and its config.security."""

    title: str
    by: str
    place: str = "home"
    security: Json = field(default_factory=dict)


PEOPLE: Final = (
    Person("ann", home="team", other="team"),
    Person("bob", home="team"),
    Person("sam", home="team", role="Data Scientist"),
    Person("vera", home="team", role="Viewer"),
    Person("rita", home="reader"),
    Person("lea", home="lead"),
    Person("otto", other="team", role="Data Scientist"),
    Person("nina"),
    Person("root", root=True),
)
ROLES: Final = [
    {"role": "data scientist", "access": "EXECUTE, edit"},
    {"role": "Viewer", "access": "View Only"},
    {"role": "Admin", "access": "Full Access"},
]
MADE: Final = (
    Made("private", "ann", security={"visibility": "Private"}),
    Made("team", "ann", security={"visibility": "Team"}),
    Made("unsaid", "ann"),
    Made("public", "ann", security={"visibility": "Public"}),
    Made("private-roles", "ann", security={"visibility": "Private", "permissions": ROLES}),
    Made("team-roles", "ann", security={"visibility": "Team", "permissions": ROLES}),
    Made("public-roles", "ann", security={"visibility": "Public", "permissions": ROLES}),
    Made("elsewhere", "ann", place="other"),
    Made("elsewhere-public", "ann", place="other", security={"visibility": "Public"}),
    Made("elsewhere-roles", "ann", place="other", security={"visibility": "Private", "permissions": ROLES}),
    Made("bobs", "bob", security={"visibility": "Private"}),
)


def words(person: Person, made: Made) -> str:
    """The letters of what a person may: v(iew), x (execute), e(dit), d(elete), f(ull access)."""
    here = person.home if made.place == "home" else person.other
    if person.root or here == "lead" or (here and person.name == made.by):
        return "vxedf"
    permissions = made.security.get("permissions", [])
    visibility = made.security.get("visibility", "Team")
    may = ""
    for permission in permissions:
        if here and person.role and permission["role"].lower() == person.role.lower():
            may += {"EXECUTE, edit": "vxe", "View Only": "v", "Full Access": "vxedf"}[permission["access"]]
    if visibility in ("Team", "Public") and here:
        may += "vxed" if here == "team" and not permissions else "v"
    if visibility == "Public":
        may += "v"
    return may


@dataclass(frozen=True)
class Asked:
    """A request about a workflow `{w}` and its run `{e}`: which letter it takes, and what a good one gets.

    Attributes:
        changes: Whether a good one changes the workflow, so that it is sent only where it is to be refused.
        headers: What is sent besides.
    """

    verb: str
    path: str
    takes: str
    code: int = 200
    body: Any = None
    changes: bool = False
    headers: dict[str, str] = field(default_factory=dict)


STALE: Final = {"If-Match": "of-another.1"}
REQUESTS: Final = (
    Asked("GET", "/workflows/{w}", "v"),
    Asked("GET", "/workflows/{w}/export", "v"),
    Asked("GET", "/workflows/{w}/executions", "v"),
    Asked("GET", "/workflows/{w}/executions/{e}", "v"),
    Asked("GET", "/workflows/{w}/executions/{e}/timeline", "v"),
    Asked("GET", "/workflows/{w}/executions/{e}/trace", "v"),
    Asked("GET", "/executions/{e}", "v"),
    Asked("GET", "/workflows/{w}/executions/{e}/logs?step=a", "v"),
    Asked("GET", "/workflows/{w}/revisions", "v"),
    Asked("GET", "/workflows/{w}/revisions/latest/difference?to=latest", "v"),
    Asked("PUT", "/workflows/{w}", "e", body={"description": "changed"}),
    Asked("PUT", "/workflows/{w}", "x", body={"config": {"schedule": {"type": "cron", "cron": "0 0 1 1 *"}}}),
    Asked("PUT", "/workflows/{w}", "f", body={"config": {"security": {"auditLogging": True}}}),
    Asked("POST", "/workflows/{w}/pause", "x"),
    Asked("POST", "/workflows/{w}/resume", "x"),
    Asked("POST", "/workflows/{w}/execute", "x", 201),
    Asked("POST", "/workflows/{w}/execute?dryRun=true", "x"),
    Asked("POST", "/workflows/{w}/executions/{e}/rerun", "x", 201, {"revision": "latest"}),
    Asked("POST", "/workflows/{w}/executions/{e}/cancel", "x", 202),
    Asked("DELETE", "/workflows/{w}", "d", changes=True),
    # A condition that does not hold tells nobody anything who may not change it anyway.
    Asked("PUT", "/workflows/{w}", "e", 412, body={"description": "changed"}, headers=STALE),
    Asked("PUT", "/workflows/{w}", "e", body={"description": "changed"}, headers={"If-Match": "*"}),
    Asked("POST", "/workflows/{w}/pause", "x", 412, headers=STALE),
    Asked("POST", "/workflows/{w}/resume", "x", 412, headers=STALE),
    Asked("DELETE", "/workflows/{w}", "d", 412, headers=STALE),
    # The same key of everybody.
    Asked("POST", "/workflows/{w}/execute", "x", 201, headers={"Idempotency-Key": "one"}),
    Asked(
        "POST",
        "/workflows/{w}/executions/{e}/rerun",
        "x",
        201,
        {"revision": "latest"},
        headers={"Idempotency-Key": "one"},
    ),
)
"""All that is about one workflow; a test sees to it that no route is missing."""

CLONE: Final = "POST /workflows/{w}/clone"
"""It takes seeing the one, and creating in a namespace: a test of its own."""


def expected(person: Person, made: Made, asked: Asked) -> int:
    """The status that a request has to get."""
    may = words(person, made)
    if "v" not in may:
        return 404
    return asked.code if asked.takes in may else 403
