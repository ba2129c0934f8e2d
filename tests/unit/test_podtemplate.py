"""What a podTemplate may hold; whatever else it is must be refused with a sentence, never a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.podtemplate import PodPolicy, findings

STRICT = PodPolicy()
LAX = PodPolicy(
    allow_service_account=True, allow_host_namespaces=True, allow_host_path=True, allow_privileged=True
)


def step(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "step", **fields}]}}


REFUSED_ALWAYS: dict[str, tuple[dict[str, Any], str, str]] = {
    "labels that are a number": ({"metadata": {"labels": 5}}, "/metadata/labels", "object of texts"),
    "labels that are a list": ({"metadata": {"labels": ["a"]}}, "/metadata/labels", "object of texts"),
    "a label that is no text": ({"metadata": {"labels": {"a": 1}}}, "/metadata/labels", "object of texts"),
    "metadata that is a text": ({"metadata": "x"}, "/metadata", "must be an object"),
    "a field that is none": ({"status": {}}, "/status", "metadata and spec"),
    "containers without names": ({"spec": {"containers": [{}]}}, "/spec/containers", "have a name"),
    "a security context that is true": (step(securityContext=True), "/spec/containers", "must be an object"),
    "ports that are a number": (step(ports=1), "/spec/containers", "must be a list"),
    "our label": (
        {"metadata": {"labels": {"nightcrawler.dev/execution": "x"}}},
        "/metadata/labels",
        "Nightcrawler's own",
    ),
    "a restart policy": ({"spec": {"restartPolicy": "Always"}}, "/spec/restartPolicy", "use retries"),
    "a deadline": ({"spec": {"activeDeadlineSeconds": 1}}, "/spec/activeDeadlineSeconds", "use timeout"),
    "resources of the step": (step(resources={}), "/spec/containers", "own field resources"),
    "resources of the Pod as a whole": (
        {"spec": {"resources": {"limits": {"cpu": 64}}}},
        "/spec/resources",
        "use resources of the step",
    ),
    "a second container": ({"spec": {"containers": [{"name": "x"}]}}, "/spec/containers", "side-cars"),
    "an init container named step": (
        {"spec": {"initContainers": [{"name": "step"}]}},
        "/spec/initContainers",
        "cannot be named",
    ),
    "a name for the Pod": ({"metadata": {"name": "x"}}, "/metadata/name", "to choose"),
}

REFUSED_BY_POLICY: dict[str, tuple[dict[str, Any], str]] = {
    "a service account": ({"spec": {"serviceAccountName": "x"}}, "/spec/serviceAccountName"),
    "a projected token": (
        {"spec": {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {}}]}}]}},
        "/spec/volumes",
    ),
    "the host's network": ({"spec": {"hostNetwork": True}}, "/spec/hostNetwork"),
    "a port of the host": (step(ports=[{"containerPort": 1, "hostPort": 1}]), "/spec/containers"),
    "a folder of the host": (
        {"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}},
        "/spec/volumes",
    ),
    "a privileged container": (step(securityContext={"privileged": True}), "/spec/containers"),
    "added capabilities": (
        step(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
        "/spec/containers",
    ),
    "a host process": (step(securityContext={"windowsOptions": {"hostProcess": True}}), "/spec/containers"),
    "a host process of the Pod": (
        {"spec": {"securityContext": {"windowsOptions": {"hostProcess": True}}}},
        "/spec/securityContext",
    ),
}


@pytest.mark.parametrize("case", REFUSED_ALWAYS)
def test_what_no_installation_takes_is_refused_where_it_stands(case: str) -> None:
    template, where, says = REFUSED_ALWAYS[case]
    found = findings(template, LAX)
    assert [at for at, _ in found] == [where]
    assert says in found[0][1]


@pytest.mark.parametrize("case", REFUSED_BY_POLICY)
def test_what_is_dangerous_is_refused_unless_the_installation_allows_it(case: str) -> None:
    template, where = REFUSED_BY_POLICY[case]
    found = findings(template, STRICT)
    assert [at for at, _ in found] == [where]
    assert "not allowed by this installation" in found[0][1]
    assert findings(template, LAX) == []


def test_what_is_harmless_is_taken() -> None:
    template = {
        "metadata": {"labels": {"team": "ml"}, "annotations": {"kwok.nightcrawler.dev/duration": "1s"}},
        "spec": {
            "initContainers": [{"name": "proxy", "image": "x", "restartPolicy": "Always"}],
            "containers": [{"name": "step", "securityContext": {"capabilities": {"drop": ["ALL"]}}}],
            "volumes": [{"name": "all", "projected": {"sources": [{"secret": {"name": "s"}}]}}],
        },
    }
    assert findings(template, STRICT) == []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["metadata", "spec", "labels", "annotations", "containers", "initContainers", "volumes", "name",
         "securityContext", "capabilities", "add", "ports", "projected", "sources", "windowsOptions"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), ANY_JSON, max_size=2))
def test_no_json_makes_it_crash(template: dict[str, Any]) -> None:
    for where, sentence in findings(template, STRICT):
        assert where.startswith("/")
        assert sentence
