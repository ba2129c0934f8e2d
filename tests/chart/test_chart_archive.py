"""The archive in the chart: a file in a volume for one replica, or a database for several, or none."""

from __future__ import annotations

from typing import Any, Final

import pytest
import yaml

from tests.support.chart import CASES, HOME, Manifest, manifests, of, one, refusal, variables

DATABASE: Final = {
    "archive": {"urlSecret": {"name": "archive-db", "key": "dsn"}},
    "keptLogs": {"url": "s3://runs/logs", "secretName": "store"},
}
API: Final = "nightcrawler-api"
OPERATOR: Final = "nightcrawler-operator"
CLAIM: Final = "nightcrawler-archive"


def pod(objects: list[Manifest]) -> Any:
    return one(objects, "Deployment", API)["spec"]["template"]["spec"]


def test_by_default_it_is_a_file_in_a_volume_for_one_replica() -> None:
    objects = manifests()
    deployment = one(objects, "Deployment", API)["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    claim = one(objects, "PersistentVolumeClaim", CLAIM)
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    (migrate,) = pod(objects)["initContainers"]
    (serve,) = pod(objects)["containers"]
    assert migrate["command"] == [API, "migrate"]
    assert migrate["volumeMounts"] == serve["volumeMounts"]
    url = {"name": "NIGHTCRAWLER_ARCHIVE_URL", "value": "sqlite:////var/lib/nightcrawler/archive.db"}
    assert url in migrate["env"]
    assert url in serve["env"]
    assert not of(objects, "Job")


@pytest.mark.parametrize(
    ("namespaces", "served"), [([], None), (["zoo", "vision"], "vision,zoo"), (["*", "zoo"], "*")]
)
def test_both_processes_know_what_is_kept_and_of_whom(namespaces: list[str], served: str | None) -> None:
    objects = manifests({"callers": {"namespaces": namespaces}})
    for name in (API, OPERATOR):
        known = variables(objects, name)
        assert (known["NIGHTCRAWLER_KEEP"], known["NIGHTCRAWLER_NAMESPACE"]) == ("archive,logs", HOME)
        assert known.get("NIGHTCRAWLER_NAMESPACES") == served


def test_with_a_database_there_are_two_replicas_and_a_job_that_migrates_first() -> None:
    objects = manifests(DATABASE)
    deployment = one(objects, "Deployment", API)["spec"]
    assert (deployment["replicas"], "rollingUpdate" in deployment["strategy"]) == (2, True)
    assert {"initContainers", "volumes"}.isdisjoint(pod(objects))
    assert not of(objects, "PersistentVolumeClaim")
    job = one(objects, "Job", f"{CLAIM}-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (migrate,) = job["spec"]["template"]["spec"]["containers"]
    secret = {"secretKeyRef": {"name": "archive-db", "key": "dsn"}}
    assert {"name": "NIGHTCRAWLER_ARCHIVE_URL", "valueFrom": secret} in migrate["env"]
    known = variables(objects, API)
    assert known["NIGHTCRAWLER_ARCHIVE_URL"] == secret
    (_, role) = of(objects, "Role", f"{API}-lease")[0]["rules"]
    assert role["resourceNames"] == [known["NIGHTCRAWLER_KEEP_LEASE_NAME"]]


def test_only_the_facade_may_reach_the_database_and_only_where_there_is_one() -> None:
    def ports(values: Any, part: str) -> set[int]:
        egress = one(manifests(values), "NetworkPolicy", f"nightcrawler-{part}")["spec"]["egress"]
        return {port["port"] for rule in egress for port in rule["ports"]}

    assert 5432 in ports(DATABASE, "api")
    assert 5432 not in ports(DATABASE, "operator")
    assert 5432 not in ports({}, "api")


def test_without_one_nothing_of_it_is_there() -> None:
    objects = manifests({"archive": {"enabled": False}})
    assert one(objects, "Deployment", API)["spec"]["replicas"] == 2
    assert not [*of(objects, "PersistentVolumeClaim"), *of(objects, "Job")]
    for name in (API, OPERATOR):
        assert not {"NIGHTCRAWLER_KEEP", "NIGHTCRAWLER_ARCHIVE_URL"} & variables(objects, name).keys()


def test_where_there_is_no_facade_nothing_is_kept() -> None:
    (case,) = (case for case in CASES if case.stem.startswith("small"))
    assert "NIGHTCRAWLER_KEEP" not in variables(manifests(case=case), OPERATOR)


def test_a_claim_of_ones_own_takes_the_place_of_the_charts() -> None:
    objects = manifests({"archive": {"volume": {"existingClaim": "mine"}}})
    assert not of(objects, "PersistentVolumeClaim")
    assert pod(objects)["volumes"][0]["persistentVolumeClaim"] == {"claimName": "mine"}


def test_how_much_is_kept_is_set_and_checked() -> None:
    known = variables(manifests({"archive": {"keepFor": "30 days", "keepRuns": 5_000_000}}), API)
    assert known["NIGHTCRAWLER_ARCHIVE_KEEP_FOR"] == "30 days"
    assert known["NIGHTCRAWLER_ARCHIVE_KEEP_RUNS"] == "5000000"
    assert "archive.keepFor" in refusal({"archive": {"keepFor": "a while"}}).replace("/", ".")


@pytest.mark.parametrize("replicas", [2, 3])
def test_several_replicas_with_a_file_are_refused_with_what_to_do(replicas: int) -> None:
    said = refusal({"facade": {"replicas": replicas}})
    assert "is for one replica alone" in said
    assert "archive.urlSecret" in said


def test_logs_are_kept_beside_the_file_or_in_a_bucket() -> None:
    url = "NIGHTCRAWLER_LOG_URL"
    beside = variables(manifests(), API)
    assert (beside[url], beside["NIGHTCRAWLER_LOG_TOTAL_BYTES"]) == (
        "file:///var/lib/nightcrawler/logs",
        "5Gi",
    )
    objects = manifests(DATABASE)
    assert variables(objects, API)[url] == "s3://runs/logs"
    (serve,) = pod(objects)["containers"]
    assert serve["envFrom"] == [{"secretRef": {"name": "store"}}]
    off = manifests({"keptLogs": {"enabled": False}})
    assert variables(off, API)["NIGHTCRAWLER_KEEP"] == "archive"
    assert url not in variables(off, API)


def test_logs_without_a_place_are_refused_with_what_to_do() -> None:
    said = refusal({"archive": {"urlSecret": {"name": "archive-db"}}})
    assert "s3://bucket/prefix" in said
    assert "keptLogs.enabled" in said
    assert "keptLogs.bytes" in refusal({"keptLogs": {"bytes": "a lot"}})


def test_audit_records_stay_as_long_as_is_said() -> None:
    known = variables(manifests({"archive": {"auditKeepFor": "90 days"}}), API)
    assert known["NIGHTCRAWLER_AUDIT_KEEP_FOR"] == "90 days"
    assert "archive.auditKeepFor" in refusal({"archive": {"auditKeepFor": "for ever"}})


def test_the_audit_policy_is_there_if_it_is_asked_for_and_logs_no_content() -> None:
    assert not any("audit" in one["metadata"]["name"] for one in manifests())
    made = one(manifests({"auditPolicy": {"enabled": True}}), "ConfigMap", "nightcrawler-audit-policy")
    policy = yaml.safe_load(made["data"]["audit-policy.yaml"])
    assert (policy["apiVersion"], policy["kind"]) == ("audit.k8s.io/v1", "Policy")
    assert {rule["level"] for rule in policy["rules"]} == {"None", "Metadata"}
