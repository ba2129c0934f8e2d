"""What the chart makes of `notifications`: settings, mounts, rights, ports."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chart import Manifest, manifests, one

OPERATOR = "nightcrawler-operator"
FOLDER = "/etc/nightcrawler/notifications"


def container(objects: list[Manifest], name: str = OPERATOR) -> tuple[dict[str, Any], dict[str, str]]:
    """The container of a Deployment, and its variables that have a value."""
    (found,) = one(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return found, {one["name"]: one["value"] for one in found["env"] if "value" in one}


def test_without_values_nothing_is_mounted_and_namespaces_may_have_targets() -> None:
    operator, variables = container(manifests())
    assert "volumeMounts" not in operator
    assert "NIGHTCRAWLER_NOTIFICATIONS_FOLDER" not in variables
    assert variables["NIGHTCRAWLER_NOTIFICATIONS_NAMESPACED"] == "true"
    assert variables["NIGHTCRAWLER_NOTIFICATIONS_ALLOW_INTERNAL"] == "false"


def test_the_installations_secret_and_certificates_are_mounted_for_the_operator_alone() -> None:
    values = {"notifications": {"secretName": "messages", "caConfigMapName": "authorities"}}
    objects = manifests(values)
    operator, variables = container(objects)
    mounts = {mount["name"]: mount["mountPath"] for mount in operator["volumeMounts"]}
    assert variables["NIGHTCRAWLER_NOTIFICATIONS_FOLDER"] == mounts["notifications"] == FOLDER
    assert variables["NIGHTCRAWLER_NOTIFICATIONS_CA_FILE"] == f"{mounts['notifications-ca']}/ca.crt"
    pod = one(objects, "Deployment", OPERATOR)["spec"]["template"]["spec"]
    by_name = {volume["name"]: volume for volume in pod["volumes"]}
    # A Secret that does not exist yet must not keep the operator from running.
    assert by_name["notifications"]["secret"] == {"secretName": "messages", "optional": True}
    facade, _ = container(objects, "nightcrawler-api")
    mounted = {mount["name"] for mount in facade.get("volumeMounts", ())}
    assert not mounted & {"notifications", "notifications-ca"}


def test_the_domains_of_recipients_are_both_programs() -> None:
    objects = manifests({"notifications": {"domains": ["example.com", "example.org"]}})
    for name in (OPERATOR, "nightcrawler-api"):
        _, variables = container(objects, name)
        assert variables["NIGHTCRAWLER_NOTIFICATION_DOMAINS"] == "example.com,example.org"


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
def test_secrets_are_read_by_one_name_and_only_where_namespaces_may_have_targets(scope: str) -> None:
    def rules(**notifications: Any) -> list[dict[str, Any]]:
        objects = manifests({"scope": scope, "notifications": notifications})
        roles = [o for o in objects if o["kind"] in ("ClusterRole", "Role")]
        return [rule for role in roles for rule in role.get("rules") or () if "secrets" in rule["resources"]]

    (rule,) = rules()
    assert (rule["resourceNames"], rule["verbs"]) == (["nightcrawler-notifications"], ["list", "watch"])
    assert rules(namespaced=False) == []


def test_receivers_are_reached_by_the_operator_alone() -> None:
    objects = manifests({"networkPolicy": {"notificationPorts": [2525]}})

    def ports(name: str) -> set[int]:
        egress = one(objects, "NetworkPolicy", name)["spec"]["egress"]
        return {port["port"] for rule in egress for port in rule["ports"]}

    assert 2525 in ports(OPERATOR)
    assert 2525 not in ports("nightcrawler-api")
