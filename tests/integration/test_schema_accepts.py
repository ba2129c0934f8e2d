"""What the schemas take on a real API server, and that it is kept as it was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import words
from tests.support import fullobjects
from tests.support.cluster import CRDS
from tests.support.resources import KIND, kept, path_of, refused_create, schema_of
from tests.support.violations import Violation, nodes

README: Final = CRDS / "README.md"
WORDS: Final[dict[str, list[Any]]] = {
    "cpu": ["16 cores", "1 core", 16, "16", 0.5, "0.5", "500m", "2 vCPUs", "None", "none", 0],
    "memory": ["64 GB", "64Gi", "1.5 GB", "500M", "500 MB", "64 GiB", 1073741824, "1e9", "128 kB", "None", 0],
    "gpu": ["8x NVIDIA A100", "NVIDIA A100", "8 GPUs", "8", 8, "1x H100", "None", 0],
    "timeout": ["2 hours", "30 seconds", "1h30m", "1 hour 30 minutes", "500ms", "7 days", 90, 0.5, "90"],
}
NO_WORDS: Final[dict[str, list[Any]]] = {
    "cpu": ["sixteen", "16 Cores!", "16,5", "500M", "-1", " 16", "16\n", "", "½", "16 cores 500m"],
    "memory": ["64 gigabytes", "500m", "1,000 MB", "64 Gb/s", "GB", "", "64\u00a0GB", "64 GB "],
    "gpu": ["8 NVIDIA A100", "any", "no", "1.5", "8x", "8x A100!", "-8", ""],
    "timeout": [
        "2 months",
        "1M",
        "soon",
        "1h 30",
        "1:30",
        "-1h",
        "h",
        "",
        "P1D",
        0,
        0.0,
        "0",
        "0 hours",
        "0h 0m",
    ],
}
_PARSERS: Final[dict[str, Callable[[Any], object]]] = {
    "cpu": words.parse_cpu,
    "memory": words.parse_memory,
    "gpu": words.parse_gpu,
    "timeout": words.parse_timeout,
}


def with_word(field: str, word: Any) -> dict[str, Any]:
    where = ("spec", "config", "timeout") if field == "timeout" else ("spec", "config", "resources", field)
    return Violation("word", where, word, "").applied_to(fullobjects.workflow())


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(field, word, id=f"{field}-{word!r}")
        for field, written in table.items()
        for word in written
    ]


@pytest.mark.parametrize(("field", "word"), cases(WORDS))
def test_a_word_in_any_of_its_forms_is_accepted_and_kept_as_written(
    cluster: LocalCluster, field: str, word: Any
) -> None:
    written = with_word(field, word)
    assert kept(cluster, written)["spec"] == written["spec"]
    _PARSERS[field](word)


@pytest.mark.parametrize(("field", "word"), cases(NO_WORDS))
def test_text_that_is_no_word_is_refused_by_server_and_parser_alike(
    cluster: LocalCluster, field: str, word: Any
) -> None:
    assert "supported values: " in refused_create(cluster, with_word(field, word))
    with pytest.raises(words.WordError):
        _PARSERS[field](word)


def test_the_sentence_of_accepted_forms_is_not_itself_a_word(cluster: LocalCluster) -> None:
    assert "Too long" in refused_create(cluster, with_word("cpu", words.CPU_FORMS))


@pytest.mark.parametrize("kind", KIND)
def test_an_object_with_every_field_is_kept_as_written(
    cluster: LocalCluster, namespace: str, kind: str
) -> None:
    written = fullobjects.ALL[kind]()
    collection = path_of(kind, namespace)
    try:
        cluster.api.post(f"{collection}?fieldValidation=Strict", written)
        cluster.api.merge(f"{collection}/full/status?fieldValidation=Strict", {"status": written["status"]})
        stored = cluster.api.get(f"{collection}/full")
    finally:
        cluster.api.delete(f"{collection}/full")
    assert stored["spec"] == written["spec"]
    assert stored["status"] == written["status"]


@pytest.mark.parametrize("kind", KIND)
def test_the_full_object_sets_every_field_of_the_schema(kind: str) -> None:
    described = {path for path, node in nodes(schema_of(kind)) if path[:1] in [("spec",), ("status",)]}
    assert described <= set(paths_of(fullobjects.ALL[kind]()))


def paths_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path of an object, with `*` for an item and for each key that may be a free one."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
            yield from paths_of(inner, (*path, "*"))
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, (*path, "*"))


MINIMAL: Final[dict[str, dict[str, Any]]] = {
    "Workflow": {},
    "WorkflowExecution": {"workflowRef": {"name": "hello"}},
    "Environment": {},
    "ComputeProfile": {},
}


@pytest.mark.parametrize("kind", KIND)
def test_nothing_is_written_into_an_object_that_leaves_everything_out(
    cluster: LocalCluster, kind: str
) -> None:
    stored = kept(cluster, fullobjects.ALL[kind]() | {"spec": MINIMAL[kind]})
    defaults = {"cancel": False} if kind == "WorkflowExecution" else {}
    assert stored["spec"] == MINIMAL[kind] | defaults


def test_empty_objects_of_config_and_options_stay_empty(cluster: LocalCluster) -> None:
    spec: dict[str, Any] = {
        "options": {},
        "config": {"resources": {}, "storage": {}, "notifications": {}, "security": {}},
    }
    assert kept(cluster, fullobjects.workflow() | {"spec": spec})["spec"] == spec


def test_null_is_a_value_of_a_parameter_and_no_value_of_anything_else(cluster: LocalCluster) -> None:
    parameters = [{"name": "nothing", "default": None}]
    stored = kept(cluster, fullobjects.workflow() | {"spec": {"parameters": parameters, "priority": None}})
    assert stored["spec"] == {"parameters": parameters}


@pytest.mark.parametrize(
    "name", ["Modell-Training #1 (größer)", "学習", "a", "x" * 100, "🚀 launch", "../../etc"]
)
def test_a_step_may_have_any_name_of_one_line(cluster: LocalCluster, name: str) -> None:
    spec = {"steps": [{"name": name, "image": "busybox:1"}]}
    assert kept(cluster, fullobjects.workflow() | {"spec": spec})["spec"] == spec


def test_a_thousand_steps_are_accepted(cluster: LocalCluster) -> None:
    names = [f"step {number}" for number in range(1000)]
    steps = [
        {"name": name, "image": "busybox:1", "dependsOn": names[max(0, at - 20) : at]}
        for at, name in enumerate(names)
    ]
    stored = kept(cluster, fullobjects.workflow() | {"spec": {"steps": steps}})
    assert stored["spec"]["steps"] == steps


def test_a_step_may_wait_for_a_thousand_others(cluster: LocalCluster) -> None:
    names = [f"step {number}" for number in range(1000)]
    steps: list[dict[str, Any]] = [{"name": name, "image": "busybox:1"} for name in names]
    steps[-1]["dependsOn"] = names
    stored = kept(cluster, fullobjects.workflow() | {"spec": {"steps": steps}})
    assert stored["spec"]["steps"] == steps


def test_as_many_dependencies_as_fit_into_a_workflow_are_accepted(cluster: LocalCluster) -> None:
    names = [f"{number:03}" for number in range(1000)]
    steps = [
        {"name": name, "image": "b", "dependsOn": names[max(0, at - 60) : at]}
        for at, name in enumerate(names)
    ]
    assert kept(cluster, fullobjects.workflow() | {"spec": {"steps": steps}})["spec"]["steps"] == steps


@pytest.mark.parametrize(("kind", "longest"), [("Workflow", 40), ("WorkflowExecution", 52)])
def test_a_name_may_be_as_long_as_the_limit(cluster: LocalCluster, kind: str, longest: int) -> None:
    manifest = fullobjects.ALL[kind]() | {"metadata": {"name": "a" * longest}}
    assert kept(cluster, manifest)["metadata"]["name"] == "a" * longest


def test_generated_names_of_executions_of_the_longest_workflow_fit(cluster: LocalCluster) -> None:
    manifest = fullobjects.execution() | {"metadata": {"generateName": "a" * 40 + "-"}}
    assert len(kept(cluster, manifest)["metadata"]["name"]) == 46


def readme_manifests() -> list[Any]:
    """Every manifest in the README."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [manifest for block in blocks for manifest in yaml.safe_load_all(block)]
    return [pytest.param(manifest, id=f"{at}-{manifest['kind']}") for at, manifest in enumerate(found)]


@pytest.mark.parametrize("manifest", readme_manifests())
def test_the_manifests_in_the_readme_are_accepted(cluster: LocalCluster, manifest: dict[str, Any]) -> None:
    stored = kept(cluster, manifest)
    assert stored["spec"] | manifest["spec"] == stored["spec"]


def test_an_unknown_field_is_dropped_where_the_client_is_not_strict(cluster: LocalCluster) -> None:
    manifest = fullobjects.environment() | {"spec": {"default": True, "colour": "green"}}
    assert cluster.api.post(f"{path_of('Environment')}?dryRun=All", manifest)["spec"] == {"default": True}


def test_field_selectors_find_live_executions_only(cluster: LocalCluster, namespace: str) -> None:
    collection = path_of("WorkflowExecution", namespace)
    phases = ["Pending", "Running", "Cancelling", "Completed", "Failed", "Cancelled"]
    for phase in phases:
        name = phase.lower()
        cluster.api.post(collection, fullobjects.execution() | {"metadata": {"name": name}})
        cluster.api.merge(f"{collection}/{name}/status", {"status": {"phase": phase}})
    cluster.api.post(collection, fullobjects.execution() | {"metadata": {"name": "new"}})
    live = "status.phase!%3DCompleted,status.phase!%3DFailed,status.phase!%3DCancelled"
    found = cluster.api.get(f"{collection}?fieldSelector={live}")["items"]
    assert {item["metadata"]["name"] for item in found} == {"pending", "running", "cancelling", "new"}
    with pytest.raises(RefusedError, match="field label not supported"):
        cluster.api.get(f"{collection}?fieldSelector=status.message%3Dx")
