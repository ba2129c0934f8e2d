"""A facade that knows its callers, the people of the access matrix: by OIDC, or by Kubernetes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from localcluster import LocalCluster
from tests.support.accessmatrix import Made, Person, words
from tests.support.callers import As
from tests.support.cluster import a_namespace
from tests.support.facade import Served, give_rights, serving
from tests.support.issuer import AUDIENCE, Issuer, an_issuer

Mode = Literal["oidc", "kubernetes"]
MODES: Final[tuple[Mode, ...]] = ("oidc", "kubernetes")

_VERBS: Final = {
    "reader": ["get", "list", "watch"],
    "team": ["get", "list", "watch", "create", "update", "delete", "execute", "cancel"],
    "lead": ["*"],
}


@dataclass(frozen=True)
class Site:
    """The facade and its people.

    Attributes:
        other: A namespace that is served besides the home namespace.
        teams: The teams file.
        issuer: The OIDC provider, in that mode.
    """

    mode: Mode
    served: Served
    other: str
    teams: Path
    people: dict[str, As]
    issuer: Issuer | None

    def place(self, which: str) -> str:
        """The namespace that the matrix calls home or other."""
        return self.served.namespace if which == "home" else self.other

    def may(self, person: Person, made: Made) -> str:
        """What the oracle says, narrowed by Kubernetes' rights in that mode: those of readers are to see."""
        here = person.home if made.place == "home" else person.other
        found = words(person, made)
        if self.mode == "oidc" or person.root:
            return found
        if not here:
            return ""
        return found if here != "reader" else "v" * ("v" in found)


@contextlib.contextmanager
def a_site(
    cluster: LocalCluster, folder: Path, mode: Mode, people: Sequence[Person], **settings: object
) -> Iterator[Site]:
    """Two namespaces, a facade that serves both, and its people."""
    teams = folder / f"teams-{mode}.yaml"
    teams.write_text("{}")
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(a_namespace(cluster))
        issuer = stack.enter_context(an_issuer()) if mode == "oidc" else None
        own: dict[str, object] = {"identity": mode, "teams_file": teams, "namespaces": other, **settings}
        if issuer is not None:
            own |= {"oidc_issuer": issuer.url, "oidc_audiences": AUDIENCE}
        else:
            own |= {"kubernetes_audiences": AUDIENCE}
        served = stack.enter_context(serving(cluster, folder, **own))
        give_rights(cluster, other, served.namespace)
        if issuer is not None:
            tokens = _in_oidc(issuer, served.namespace, other, teams, people)
        else:
            tokens = _in_kubernetes(stack, cluster, served.namespace, other, teams, people)
        known = {name: As(served, token) for name, token in tokens.items()}
        for person in known.values():
            stack.callback(person.http.close)
        yield Site(mode, served, other, teams, known, issuer)


def _in_oidc(issuer: Issuer, home: str, other: str, teams: Path, people: Sequence[Person]) -> dict[str, str]:
    """Everybody's token; groups say who is of which team."""
    places = {"home": home, "other": other}
    rules: list[dict[str, Any]] = []
    for which, namespace in places.items():
        groups = [
            {"name": f"{which}-team"},
            {"name": f"{which}-reader", "readOnly": True},
            {"name": f"{which}-lead", "admin": True},
        ]
        rules.append({"namespaces": [namespace], "groups": groups})
    teams.write_text(json.dumps({"admins": {"groups": ["root"]}, "teams": rules}))
    tokens = {}
    for person in people:
        groups_of = [f"{which}-{getattr(person, which)}" for which in places if getattr(person, which)]
        groups_of += ["root"] if person.root else []
        tokens[person.name] = issuer.token(person.name, groups=groups_of, roles=person.role or None)
    return tokens


def _in_kubernetes(
    stack: contextlib.ExitStack,
    cluster: LocalCluster,
    home: str,
    other: str,
    teams: Path,
    people: Sequence[Person],
) -> dict[str, str]:
    """Everybody's service account with its rights; roles by the group of its namespace."""
    rules: list[dict[str, Any]] = []
    tokens = {}
    spaces = {role: stack.enter_context(a_namespace(cluster)) for role in sorted({p.role for p in people})}
    for role, space in spaces.items():
        if role:
            group = {"name": f"system:serviceaccounts:{space}", "roles": [role]}
            rules.append({"namespaces": [home, other], "groups": [group]})
    teams.write_text(json.dumps({"teams": rules}))
    for person in people:
        space = spaces[person.role]
        cluster.kubectl("create", "serviceaccount", person.name, f"--namespace={space}")
        for namespace, what in ((home, person.home), (other, person.other)):
            if what:
                _bind(cluster, namespace, f"{space}:{person.name}", _VERBS[what])
        if person.root:
            _bind(cluster, home, f"{space}:{person.name}", ["*"])
            _bind(cluster, other, f"{space}:{person.name}", ["*"])
        token = cluster.kubectl(
            "create", "token", person.name, f"--namespace={space}", f"--audience={AUDIENCE}"
        )
        tokens[person.name] = token.strip()
    return tokens


def _bind(cluster: LocalCluster, namespace: str, account: str, verbs: list[str]) -> None:
    space, _, name = account.partition(":")
    head = {"name": f"person-{name}", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": head,
        "rules": [{"apiGroups": ["nightcrawler.dev"], "resources": ["workflows"], "verbs": verbs}],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": head,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": head["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space}],
    }
    for document in (role, binding):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(document))
