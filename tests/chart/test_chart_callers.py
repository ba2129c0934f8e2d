"""Who the callers of the facade are: settings, the teams file, rights, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from nightcrawler_api.auth.teams import TeamRules
from nightcrawler_api.settings import Settings
from tests.chart.test_chart_rights import granted, proven
from tests.support.chart import HOME, Manifest, Values, manifests, of, one, refusal, variables

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
    fields = {name.removeprefix("NIGHTCRAWLER_").lower(): value for name, value in found.items()}
    read = Settings.model_validate(
        {name: value for name, value in fields.items() if name in Settings.model_fields}
    )
    assert (read.identity, read.oidc_issuer) == ("oidc", OIDC["oidc"]["issuer"])
    assert (read.oidc_audiences, read.oidc_algorithms) == (("a", "b"), ("ES256", "RS512"))
    assert (read.oidc_groups_claim, read.oidc_roles_claim) == ("g", "realm_access.roles")
    assert read.oidc_name_claims == ("email", "name")
    pod = one(objects, "Deployment", "nightcrawler-api")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    maps = [volume for volume in pod["volumes"] if "configMap" in volume]
    volumes = {volume["name"]: volume["configMap"]["name"] for volume in maps}
    assert volumes == {"teams": "nightcrawler-api-teams", "oidc-ca": "authorities"}
    assert str(read.teams_file).startswith(mounts["teams"])
    assert str(read.oidc_ca_file).startswith(mounts["oidc-ca"])


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
