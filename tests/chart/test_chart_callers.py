"""Who the callers of the facade are: settings, the teams file, rights, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightcrawler_api.auth.setup import identity_of
from nightcrawler_api.auth.teams import TeamRules
from nightcrawler_api.settings import Settings
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from tests.chart.test_chart_rights import granted, proven
from tests.support.chart import HOME, Manifest, Values, manifests, of, one, refusal, variables
from tests.support.docs import ROOT, text_of
from tests.support.issuer import an_issuer

OIDC: Values = {
    "mode": "oidc",
    "oidc": {"issuer": "https://login.example.com/realms/company", "audiences": ["nightcrawler"]},
}
TEAMS: list[Values] = [
    {
        "name": "vision",
        "namespaces": ["vision", "vision-nightly"],
        "groups": [
            {"name": "engineers", "roles": ["Data Scientist"]},
            {"name": "leads", "role": "admin"},
            {"name": "oidc:all", "role": "view"},
        ],
    }
]
REVIEWS = "nightcrawler-api-reviews"


def settings_of(objects: list[Manifest]) -> dict[str, str]:
    return variables(objects, "nightcrawler-api")


def as_read(found: dict[str, str], **others: Any) -> Settings:
    """The facade's settings as it reads them, some replaced."""
    fields = {name.removeprefix("NIGHTCRAWLER_").lower(): value for name, value in found.items()}
    known = {name: value for name, value in fields.items() if name in Settings.model_fields}
    return Settings.model_validate(known | others)


def teams_of(objects: list[Manifest]) -> dict[str, Any]:
    data = one(objects, "ConfigMap", "nightcrawler-api-teams")["data"]["teams.yaml"]
    read: dict[str, Any] = yaml.safe_load(data)
    TeamRules.model_validate(read, strict=False)
    return read


def test_without_a_mode_nobody_is_asked_and_nothing_is_rendered_for_it() -> None:
    objects = manifests({"teams": TEAMS})
    found = settings_of(objects)
    assert found["NIGHTCRAWLER_ALLOW_UNAUTHENTICATED"] == "true"
    assert not [
        name for name in found if "IDENTITY" in name or "OIDC" in name or name == "NIGHTCRAWLER_NAMESPACES"
    ]
    assert not [o for o in of(objects, "ConfigMap") if o["metadata"]["name"].endswith("-teams")]
    assert {
        o["metadata"]["namespace"] for o in of(objects, "Role") if o["metadata"]["name"].endswith("-api")
    } == {HOME}


def test_oidc_becomes_settings_that_the_facade_takes() -> None:
    whole = {
        "mode": "oidc",
        "oidc": {
            **OIDC["oidc"],
            "audiences": ["a", "b"],
            "algorithms": ["ES256", "RS512"],
            "groupsClaim": "g",
            "rolesClaim": "realm_access.roles",
            "nameClaims": ["email", "name"],
            "caConfigMapName": "authorities",
        },
    }
    objects = manifests({"callers": whole})
    found = settings_of(objects)
    assert "NIGHTCRAWLER_ALLOW_UNAUTHENTICATED" not in found
    used = as_read(found)
    assert (used.identity, used.oidc_issuer) == ("oidc", OIDC["oidc"]["issuer"])
    assert (used.oidc_audiences, used.oidc_algorithms) == (("a", "b"), ("ES256", "RS512"))
    assert (used.oidc_groups_claim, used.oidc_roles_claim) == ("g", "realm_access.roles")
    assert used.oidc_name_claims == ("email", "name")
    pod = one(objects, "Deployment", "nightcrawler-api")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    maps = [volume for volume in pod["volumes"] if "configMap" in volume]
    volumes = {volume["name"]: volume["configMap"]["name"] for volume in maps}
    assert volumes == {"teams": "nightcrawler-api-teams", "oidc-ca": "authorities"}
    assert str(used.teams_file).startswith(mounts["teams"])
    assert str(used.oidc_ca_file).startswith(mounts["oidc-ca"])


KEYCLOAK: Values = {
    "aud": ["nightcrawler", "account"],
    "azp": "nightcrawler",
    "typ": "Bearer",
    "preferred_username": "jane",
    "name": "Jane Doe",
    "email_verified": False,
    "groups": ["/vision-engineers"],
    "realm_access": {"roles": ["offline_access", "Data Scientist"]},
    "resource_access": {"account": {"roles": ["manage-account"]}},
}
ENTRA: Values = {
    "aud": "APPLICATION_ID",
    "ver": "2.0",
    "oid": "99999999-8888-7777-6666-555555555555",
    "preferred_username": "jane@example.com",
    "name": "Jane Doe",
    "groups": ["11111111-2222-3333-4444-555555555555"],
    "roles": ["Analyst"],
}
DEX: Values = {
    "aud": "nightcrawler",
    "at_hash": "x",
    "email": "jane@example.com",
    "email_verified": True,
    "name": "Jane Doe",
    "groups": ["vision-engineers"],
}


@pytest.mark.parametrize(
    ("provider", "claims", "roles", "places"),
    [
        ("Keycloak", KEYCLOAK, {"offline_access", "data scientist"}, {HOME: set()}),
        ("Microsoft Entra ID", ENTRA, {"analyst"}, {HOME: set(), "vision": {"data scientist"}}),
        ("Dex", DEX, set(), {HOME: set()}),
    ],
)
async def test_the_values_documented_for_a_provider_accept_its_tokens_and_find_groups_and_roles(
    provider: str, claims: Values, roles: set[str], places: dict[str, set[str]], tmp_path: Path
) -> None:
    section = text_of(ROOT / "docs" / "security.md").partition(f"\n## {provider}\n")[2]
    found = re.search(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found is not None
    objects = manifests(yaml.safe_load(found[1]))
    teams = tmp_path / "teams.yaml"
    teams.write_text(yaml.safe_dump(teams_of(objects)))
    with an_issuer() as issuer:
        settings = as_read(settings_of(objects), oidc_issuer=issuer.url, teams_file=teams)
        identity = identity_of(settings, Store(Connection(Identity("http://localhost"), "test")))
        assert identity.callers is not None
        caller = identity.teams.placed(await identity.callers.identify(issuer.token("jane", **claims)))
        await identity.close()
    assert caller.name == "Jane Doe"
    assert caller.groups == set(claims["groups"])
    assert caller.roles == roles
    assert {one.namespace: set(one.roles) for one in caller.memberships} == places


def test_the_teams_file_follows_from_the_teams() -> None:
    admins = {"groups": ["platform"], "roles": ["operator"]}
    found = teams_of(manifests({"callers": {**OIDC, "admins": admins}, "teams": TEAMS}))
    assert found["admins"] == admins
    assert found["teams"] == [
        {
            "namespaces": ["vision", "vision-nightly"],
            "groups": [
                {"name": "engineers", "roles": ["Data Scientist"], "admin": False, "readOnly": False},
                {"name": "leads", "roles": [], "admin": True, "readOnly": False},
                {"name": "oidc:all", "roles": [], "admin": False, "readOnly": True},
            ],
        },
        {"namespaces": [HOME], "groups": [{"name": "*"}]},
    ]
    of_home = {"name": "all", "namespaces": [HOME], "groups": [{"name": "people"}]}
    [team] = teams_of(manifests({"callers": OIDC, "teams": [of_home]}))["teams"]
    assert team["namespaces"] == [HOME], "a team has it, so it is not everybody's"
    nobody = teams_of(manifests({"callers": {**OIDC, "homeGroups": []}}))
    assert nobody["teams"] == []


@pytest.mark.parametrize(
    ("callers", "served"),
    [
        (OIDC, "vision,vision-nightly"),
        ({**OIDC, "namespaces": ["zoo", HOME, "vision"]}, "vision,vision-nightly,zoo"),
        ({"namespaces": ["zoo"]}, "zoo"),
        ({**OIDC, "namespaces": ["*"]}, "*"),
    ],
)
def test_the_facade_serves_teams_and_has_its_rights_there(callers: Values, served: str) -> None:
    objects = manifests({"callers": callers, "teams": TEAMS})
    assert settings_of(objects)["NIGHTCRAWLER_NAMESPACES"] == served
    ours = proven("Role", "nightcrawler-api")
    if served == "*":
        assert granted(one(objects, "ClusterRole", "nightcrawler-api-everywhere")) == ours
        return
    roles = [o for o in of(objects, "Role") if o["metadata"]["name"] == "nightcrawler-api"]
    assert {o["metadata"]["namespace"] for o in roles} == {HOME, *served.split(",")}
    assert all(granted(role) == ours for role in roles)
    bindings = [o for o in of(objects, "RoleBinding") if o["metadata"]["name"] == "nightcrawler-api"]
    assert {o["metadata"]["namespace"] for o in bindings} == {HOME, *served.split(",")}


def test_only_in_kubernetes_mode_the_facade_may_ask_who_is_calling() -> None:
    mode = {"mode": "kubernetes", "kubernetes": {"audiences": ["nightcrawler"]}}
    objects = manifests({"callers": mode})
    assert granted(one(objects, "ClusterRole", REVIEWS)) == proven("ClusterRole", REVIEWS)
    assert one(objects, "ClusterRoleBinding", REVIEWS)
    assert settings_of(objects)["NIGHTCRAWLER_KUBERNETES_AUDIENCES"] == "nightcrawler"
    for other in ({}, OIDC):
        assert REVIEWS not in [o["metadata"]["name"] for o in manifests({"callers": other})]


def test_roles_for_people_may_execute_and_cancel() -> None:
    edit = granted(one(manifests(), "ClusterRole", "nightcrawler-edit"))
    assert {verb for _, resource, _, verb in edit if resource == "workflows"} >= {"execute", "cancel"}
    view = granted(one(manifests(), "ClusterRole", "nightcrawler-view"))
    assert not {"execute", "cancel"} & {verb for *_, verb in view}


def test_the_provider_is_reached_with_oidc_only() -> None:
    def ports(callers: Values) -> set[int]:
        [policy] = [
            o
            for o in of(manifests({"callers": callers}), "NetworkPolicy")
            if o["metadata"]["name"].endswith("-api")
        ]
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    values = {**OIDC}
    assert ports(values) >= {443, 6443, 53}
    apart = manifests({"callers": OIDC, "networkPolicy": {"identityProviderPorts": [8443]}})
    assert "8443" in str([o for o in of(apart, "NetworkPolicy") if o["metadata"]["name"].endswith("-api")])
    other = manifests({"networkPolicy": {"identityProviderPorts": [8443]}})
    assert "8443" not in str(of(other, "NetworkPolicy"))


def test_with_a_mode_nobody_has_to_vouch_for_the_ingress() -> None:
    ingress = {"enabled": True, "host": "workflows.example.com"}
    assert "ingress.authenticated=true" in refusal({"ingress": ingress})
    assert of(manifests({"ingress": ingress, "callers": OIDC}), "Ingress")


@pytest.mark.parametrize(
    ("callers", "says"),
    [
        ({"mode": "oidc"}, "needs callers.oidc.issuer"),
        ({"mode": "oidc", "oidc": {"issuer": "https://login.example.com"}}, "needs callers.oidc.audiences"),
        ({"mode": "none", "oidc": OIDC["oidc"]}, "set callers.mode to oidc, or leave it out"),
        ({"mode": "kubernetes", "oidc": OIDC["oidc"]}, "set callers.mode to oidc, or leave it out"),
        ({"mode": "basic"}, "mode"),
        ({"mode": "oidc", "oidc": {"issuer": "http://login", "audiences": ["a"]}}, "issuer"),
        ({"mode": "oidc", "oidc": {**OIDC["oidc"], "algorithms": ["HS256"]}}, "algorithms"),
        ({"namespaces": ["nightcrawler"]}, "the release's own namespace"),
        ({"namespaces": ["A"]}, "namespaces"),
    ],
)
def test_what_does_not_go_together_is_refused(callers: Values, says: str) -> None:
    assert says in refusal({"callers": callers})
