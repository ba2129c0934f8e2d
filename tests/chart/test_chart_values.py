"""The chart's values: each is described and does what it says; bad ones are refused with a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml

from nightcrawler_api.settings import Settings as FacadeSettings
from nightcrawler_crds import words
from nightcrawler_crds.settings import CommonSettings
from nightcrawler_crds.v1alpha1.workflow import Priority
from nightcrawler_crds.variables import variable
from nightcrawler_operator.settings import Settings as OperatorSettings
from tests.support.chart import (
    CHART,
    HOME,
    Values,
    manifests,
    of,
    one,
    refusal,
    rendered,
    variables,
)

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
# What the chart sets by itself, or what has no meaning in a Pod.
SET_BY_THE_CHART = {
    *("kubeconfig", "watch_namespace", "probe_host", "probe_port"),
    *("leader_election", "lease_name", "lease_namespace"),
    *("pod_name", "pod_namespace", "pod_uid", "container_name"),
    *("namespace", "allow_own_namespace", "api_host", "api_port", "allow_unauthenticated", "drain_timeout"),
    *("identity", "namespaces", "teams_file", "kubernetes_audiences"),  # callers
    *("oidc_issuer", "oidc_audiences", "oidc_algorithms", "oidc_ca_file"),
    *("oidc_groups_claim", "oidc_roles_claim", "oidc_name_claims"),
    "priority_class_prefix",  # priorityClasses.create
    *("notifications_folder", "notifications_ca_file"),  # notifications.secretName, .caConfigMapName
    *("notifications_namespaced", "notifications_allow_internal", "notification_domains"),
    "max_running_in",  # teams[].maxRunning
    *("otlp_endpoint", "otlp_headers", "steps_otlp_endpoint"),  # traces
    "otlp_ca_file",
    *("keep", "archive_url", "keep_lease_name", "keep_lease_namespace"),  # archive
    *("archive_keep_for", "archive_keep_runs", "audit_keep_for"),
    *("log_url", "log_bytes", "log_total_bytes"),  # keptLogs
    "steps_pod_security",  # steps.podSecurity, which gives namespaces their label too
}


ROUTE = {
    "authenticated": True,
    "parentRefs": [{"name": "public", "namespace": "gateways"}],
    "hostnames": ["workflows.example.com"],
}


def leaves(values: Any, path: str = "") -> Iterator[str]:
    """Every value by its path; an empty map or a list is one value, and so are resources and profiles."""
    if isinstance(values, dict) and values and not path.endswith(("resources", ".profiles")):
        for name, value in values.items():
            yield from leaves(value, f"{path}.{name}".lstrip("."))
    else:
        yield path


def schema_of(path: str) -> dict[str, Any]:
    node = SCHEMA
    for name in path.split("."):
        node = node["properties"][name]
    return node


def nodes(schema: dict[str, Any], path: str = "values") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of the schema that describes something."""
    yield path, schema
    for name, part in {**schema.get("properties", {}), **schema.get("definitions", {})}.items():
        yield from nodes(part, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")


@pytest.mark.parametrize("path", list(leaves(VALUES)))
def test_each_value_has_a_comment_and_a_description(path: str) -> None:
    assert schema_of(path)["description"].endswith((".", ":", "]."))
    key = re.escape(path.rpartition(".")[2])
    text = (CHART / "values.yaml").read_text()
    assert re.search(rf"^ *# .+\n *{key}:", text, re.MULTILINE)


def test_each_part_of_the_schema_is_closed_and_described() -> None:
    for path, node in nodes(SCHEMA):
        if "properties" in node:
            assert node["additionalProperties"] is False, path
        if not path.endswith("[]") and path != "values":
            assert node.get("description"), path


@pytest.mark.parametrize(
    ("group", "settings", "inherited"),
    [
        ("settings", CommonSettings, None),
        ("operator.settings", OperatorSettings, CommonSettings),
        ("facade.settings", FacadeSettings, CommonSettings),
    ],
)
def test_each_setting_of_the_programs_is_a_value(group: str, settings: Any, inherited: Any) -> None:
    own = set(settings.model_fields) - set(inherited.model_fields if inherited else ()) - SET_BY_THE_CHART
    names = {re.sub("([A-Z])", r"_\1", name).lower() for name in schema_of(group)["properties"]}
    assert names == own, "add it to values.yaml and values.schema.json, or to SET_BY_THE_CHART"


def test_values_become_the_variables_that_the_programs_read(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = manifests(
        {
            "settings": {"defaultTimeout": "1h30m", "defaultRetryDelay": 5, "allowHostPath": True},
            "steps": {"podSecurity": "privileged"},
            "operator": {
                "settings": {"workers": 200, "managedJobs": False, "events": False, "historyFailed": 0}
            },
            "facade": {"settings": {"corsOrigins": "https://a.example,https://b.example"}},
        }
    )
    operator = variables(objects, "nightcrawler-operator")
    facade = variables(objects, "nightcrawler-api")
    for name, value in {**operator, **facade}.items():
        if isinstance(value, str):
            monkeypatch.setenv(name, value)
    read, served = OperatorSettings(), FacadeSettings()
    assert (read.workers, read.managed_jobs, read.history_failed) == (200, False, 0)
    assert read.events is False
    assert (read.default_timeout, read.default_retry_delay, read.allow_host_path) == (5400, 5, True)
    assert (read.lease_namespace, read.probe_host, read.watch_namespace) == ("nightcrawler", "0.0.0.0", "")
    assert (served.namespace, served.api_host) == (HOME, "0.0.0.0")
    assert served.cors_origins == ("https://a.example", "https://b.example")
    assert variable("queue_timeout") not in operator, "an empty value leaves the default to the programs"


def test_a_workflows_priority_is_that_of_a_class_of_the_release() -> None:
    objects = manifests()
    classes = {o["metadata"]["name"]: o for o in of(objects, "PriorityClass")}
    prefix = variables(objects, "nightcrawler-operator")[variable("priority_class_prefix")]
    assert [f"{prefix}{level}" for level in get_args(Priority)] == list(classes)
    values = [o["value"] for o in classes.values()]
    assert values == sorted(values)
    assert {o["preemptionPolicy"] for o in classes.values()} == {"Never"}
    preempting = of(manifests({"priorityClasses": {"preemption": True}}), "PriorityClass")
    assert {o["preemptionPolicy"] for o in preempting} == {"PreemptLowerPriority"}


def test_without_the_classes_no_pod_is_to_have_one() -> None:
    objects = manifests({"priorityClasses": {"create": False}})
    assert not of(objects, "PriorityClass")
    assert variable("priority_class_prefix") not in variables(objects, "nightcrawler-operator")


PROFILE_API = "nightcrawler.dev/v1alpha1/ComputeProfile"


def test_profiles_are_rendered_once_their_kind_is_in_the_cluster() -> None:
    assert not of(manifests(), "ComputeProfile")
    made = of(manifests(apis=(PROFILE_API,)), "ComputeProfile")
    shown = [profile["spec"]["displayName"] for profile in made]
    assert shown == ["CPU-Optimized", "GPU-Optimized", "Memory-Optimized", "Standard"]
    assert not of(manifests({"computeProfiles": {"create": False}}, apis=(PROFILE_API,)), "ComputeProfile")


def test_a_profile_can_be_changed_left_out_and_added() -> None:
    changes = {
        "standard": {"resources": {"cpu": "500m"}},
        "gpu-optimized": None,
        "night": {"displayName": "Night", "priorityClassName": "night", "sharedMemory": "1 GB"},
    }
    made = of(manifests({"computeProfiles": {"profiles": changes}}, apis=(PROFILE_API,)), "ComputeProfile")
    specs = {profile["metadata"]["name"]: profile["spec"] for profile in made}
    assert specs["standard"] == {"displayName": "Standard", "resources": {"cpu": "500m", "memory": "2Gi"}}
    assert "gpu-optimized" not in specs
    assert specs["night"] == changes["night"]
    assert "cpus" in refusal({"computeProfiles": {"profiles": {"x": {"resources": {"cpus": 1}}}}})


@pytest.mark.parametrize("level", ["restricted", "baseline", "privileged"])
def test_both_programs_and_all_namespaces_have_one_pod_security_level(level: str) -> None:
    team = {"name": "a", "namespaces": ["a", "b"]}
    objects = manifests({"steps": {"podSecurity": level}, "teams": [team]})
    spaces = of(objects, "Namespace")
    assert [o["metadata"]["name"] for o in spaces] == [HOME, "a", "b"]
    assert {o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] for o in spaces} == {level}
    for deployment in ("nightcrawler-operator", "nightcrawler-api"):
        assert variables(objects, deployment)["NIGHTCRAWLER_STEPS_POD_SECURITY"] == level


def test_in_namespaced_scope_the_operator_watches_the_home_namespace_alone() -> None:
    objects = manifests({"scope": "namespace", "homeNamespace": {"name": "team-a"}})
    assert variables(objects, "nightcrawler-operator")["NIGHTCRAWLER_WATCH_NAMESPACE"] == "team-a"
    assert variables(objects, "nightcrawler-api")["NIGHTCRAWLER_NAMESPACE"] == "team-a"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        # Pod Security
        (
            {"homeNamespace": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
            "which steps.podSecurity gives: leave it out, and set that.",
        ),
        (
            {"settings": {"allowHostPath": True}},
            "settings.allowHostPath is true, and steps.podSecurity is restricted: Pods of that level may not",
        ),
        ({"steps": {"podSecurity": "strict"}}, "must be one of 'restricted', 'baseline', 'privileged'"),
        # Names
        (
            {"homeNamespace": {"name": "nightcrawler"}},
            "the release's own namespace: people who may create workflows",
        ),
        ({"homeNamespace": {"name": "kube-system"}}, "names that begin with kube- are Kubernetes' own"),
        (
            {"homeNamespace": {"name": "Team_A"}},
            'homeNamespace.name is "Team_A": it must be lower-case letters',
        ),
        ({"homeNamespace": {"name": "a" * 64}}, "at most 63 characters"),
        # What does not go together
        (
            {"ingress": {"enabled": True}},
            "ingress.enabled needs ingress.host, the name under which people reach",
        ),
        ({"ingress": {"enabled": True, "host": "a.example"}}, "for the facade does not authenticate callers"),
        (
            {"ingress": {"enabled": True}, "facade": {"enabled": False}},
            "there would be nothing behind the Ingress",
        ),
        ({"gateway": {"enabled": True}}, "gateway.enabled needs gateway.parentRefs, the Gateways that"),
        (
            {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}},
            "gateway.enabled needs gateway.hostnames, the names under which people reach",
        ),
        (
            {"gateway": {"enabled": True, **ROUTE, "authenticated": False}},
            "for the facade does not authenticate",
        ),
        ({"gateway": {"enabled": True, **ROUTE}}, "needs the custom resources of the Gateway API"),
        (
            {"gateway": {"enabled": True}, "facade": {"enabled": False}},
            "there would be nothing behind the route",
        ),
        ({"defaultEnvironment": {"create": True}}, "install without it, then run helm upgrade with it"),
        (
            {"monitoring": {"serviceMonitor": {"enabled": True}}},
            "needs the custom resources of Prometheus' operator",
        ),
        (
            {"monitoring": {"prometheusRule": {"enabled": True}}},
            "needs the custom resources of Prometheus' operator",
        ),
        ({"image": {"tag": "latest"}}, "Name a version, or leave it empty"),
        # Words
        (
            {"settings": {"defaultTimeout": "soon"}},
            'settings.defaultTimeout is "soon", which cannot be used. Acc',
        ),
        (
            {"settings": {"defaultCpu": "four"}},
            'settings.defaultCpu is "four", which cannot be used. Accepted: core',
        ),
        (
            {"settings": {"defaultMemory": "1 XB"}},
            'settings.defaultMemory is "1 XB", which cannot be used. Accepted',
        ),
        (
            {"operator": {"settings": {"leaseDuration": "-1"}}},
            'operator.settings.leaseDuration is "-1", which cannot',
        ),
        (
            {"computeProfiles": {"profiles": {"standard": {"resources": {"cpu": "many"}}}}},
            'computeProfiles.profiles.standard.resources.cpu is "many", which cannot be used. Accepted',
        ),
        (
            {"computeProfiles": {"profiles": {"gpu-optimized": {"sharedMemory": "8 m"}}}},
            'computeProfiles.profiles.gpu-optimized.sharedMemory is "8 m", which cannot',
        ),
        # Types, ranges and choices, by the schema
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"operator": {"replica": 2}}, "at '/operator': additional properties 'replica' not allowed"),
        ({"operator": {"replicas": 0}}, "at '/operator/replicas': minimum: got 0, want 1"),
        ({"operator": {"replicas": "2"}}, "at '/operator/replicas': got string, want integer"),
        ({"operator": {"settings": {"workers": 257}}}, "at '/operator/settings/workers'"),
        (
            {"operator": {"settings": {"managedJobs": "no"}}},
            "at '/operator/settings/managedJobs': got string, want b",
        ),
        (
            {"operator": {"resources": {"limits": None}}},
            "at '/operator/resources': missing property 'limits'",
        ),
        ({"facade": {"service": {"port": 0}}}, "at '/facade/service/port'"),
        ({"facade": {"service": {"type": "LoadBalancer"}}}, "additional properties 'type' not allowed"),
        ({"scope": "team"}, "at '/scope': value must be one of 'cluster', 'namespace'"),
        ({"settings": {"logLevel": "loud"}}, "value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "value must be one of 'IfNotPresent', 'Always', 'Never'"),
        ({"image": {"digest": "sha256:1"}}, "at '/image/digest'"),
        (
            {"networkPolicy": {"apiServerPorts": []}},
            "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1",
        ),
        (
            {"networkPolicy": {"facadeFrom": [{"namespace": "a"}]}},
            "additional properties 'namespace' not allowed",
        ),
        ({"priorityClasses": {"high": "most"}}, "at '/priorityClasses/high': got string, want integer"),
        ({"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else "",
)
def test_a_bad_value_is_refused_with_a_sentence(values: Values, sentence: str) -> None:
    assert sentence in refusal(values)


def test_the_chart_accepts_the_same_words_as_the_programs() -> None:
    checks = (CHART / "templates" / "_checks.tpl").read_text()
    patterns = (words.DURATION_PATTERN, words.CPU_PATTERN, words.MEMORY_PATTERN)
    for text in (*patterns, words.DURATION_FORMS, words.CPU_FORMS, words.MEMORY_FORMS):
        assert f"`{text}`" in checks


def test_the_default_environment_is_made_where_its_kind_is_known() -> None:
    chosen = {"create": True, "aliases": ["production"], "nodeSelector": {"pool": "cpu"}}
    apis = ("nightcrawler.dev/v1alpha1/Environment",)
    environment = one(manifests({"defaultEnvironment": chosen}, apis=apis), "Environment", "default")
    assert environment["spec"] == {
        "displayName": "This cluster",
        "default": True,
        "aliases": ["production"],
        "acceptAnyName": True,
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [],
        "forceDeleteOnLostNode": False,
    }


def test_a_route_of_the_gateway_api_leads_to_the_facade() -> None:
    values = {"gateway": {"enabled": True, **ROUTE}, "facade": {"service": {"port": 8000}}}
    route = one(manifests(values, apis=("gateway.networking.k8s.io/v1",)), "HTTPRoute", "nightcrawler-api")[
        "spec"
    ]
    assert (route["parentRefs"], route["hostnames"]) == (ROUTE["parentRefs"], ROUTE["hostnames"])
    assert route["rules"][0]["backendRefs"] == [{"name": "nightcrawler-api", "port": 8000}]


def test_the_version_is_that_of_the_programs() -> None:
    pyproject = (CHART.parents[1] / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"image: nightcrawler.dev/nightcrawler:{version}\n" in rendered()
