"""Whole workflows over REST: paused and resumed, copied, exported, imported; and statistics of their runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nightcrawler_api.http.yaml_body import to_json
from tests.support.cluster import a_namespace
from tests.support.docs import ROOT
from tests.support.facade import Json, Served
from tests.support.polling import eventually

SCRIPT = 'y\n\techo "1e3" # ü 🌙\n'
STEP: Json = {
    "name": "a",
    "image": "busybox:1",
    "command": ["sh", "-c", SCRIPT],
    "env": [{"name": "n", "value": "1e3"}],
}
HEAD = "apiVersion: nightcrawler.dev/v1alpha1\nkind: Workflow\n"
WORDS = "y Yes NO off 1e3 0o7 07 0x1F 1:30 1_000 .5 2025-07-10 1. -0b11 _1 08 'y' +1 0b2 1e400"
DAILY: Json = {"schedule": {"type": "cron", "cron": "0 0 * * 1"}}


def test_a_workflow_is_paused_and_resumed_however_often(served: Served) -> None:
    workflow = served.create(steps=[STEP], config=DAILY)
    for action, suspend, status in (("pause", True, "inactive"), ("resume", False, "active")):
        for _ in range(2):
            answer = served.ask("POST", f"/{workflow}/{action}")
            assert (answer["id"], answer["status"]) == (workflow, status)
            assert served.stored("Workflow", workflow)["spec"]["suspend"] is suspend
    served.refused("POST", "/nothing/pause", code=404)


def test_a_copy_has_the_definition_and_is_paused_if_it_has_a_schedule(served: Served) -> None:
    workflow = served.create(name="Nightly", steps=[STEP], config=DAILY, tags=["x"])
    copy = served.ask("POST", f"/{workflow}/clone", code=201)
    assert copy["name"] == "Copy of Nightly"
    stored, other = (served.stored("Workflow", one)["spec"] for one in (copy["id"], workflow))
    assert stored == {**other, "displayName": "Copy of Nightly", "suspend": True}
    plain = served.create(steps=[STEP])
    named = served.ask("POST", f"/{plain}/clone", {"name": "Mine"}, code=201)
    assert (named["name"], "suspend" in served.stored("Workflow", named["id"])["spec"]) == ("Mine", False)
    served.refused("POST", f"/{plain}/clone", {"name": ""}, code=422)


def test_what_is_exported_is_applied_by_kubectl_as_it_is(served: Served) -> None:
    workflow = served.create(name="yes", description="null", steps=[STEP], tags=["y", "0o7", "2025-07-10"])
    answer = served.http.get(f"/api/workflows/{workflow}/export")
    assert answer.headers["content-type"].startswith("application/yaml")
    with a_namespace(served.cluster) as elsewhere:
        served.cluster.kubectl("apply", f"--namespace={elsewhere}", "-f", "-", stdin=answer.text)
        path = f"/apis/nightcrawler.dev/v1alpha1/namespaces/{elsewhere}/workflows/{workflow}"
        assert served.cluster.api.get(path)["spec"] == served.stored("Workflow", workflow)["spec"]


def imported(served: Served, manifest: str | Json, code: int = 201, kind: str = "application/yaml") -> Json:
    """The answer to an import, which must have this code."""
    body = manifest if isinstance(manifest, str) else json.dumps(manifest)
    answer = served.http.post("/api/workflows/import", content=body, headers={"Content-Type": kind})
    assert answer.status_code == code, answer.text
    read: Json = answer.json()
    return read


def test_what_was_exported_is_imported_after_it_was_deleted_and_not_before(served: Served) -> None:
    workflow = served.create(name="yes", description="null", steps=[STEP], config=DAILY, tags=["0o7"])
    spec = served.stored("Workflow", workflow)["spec"]
    exported = served.http.get(f"/api/workflows/{workflow}/export").text
    problem = imported(served, exported, 409)
    assert f"there is a workflow '{workflow}' already; delete it first" in problem["detail"]
    served.ask("DELETE", f"/{workflow}")
    made = imported(served, exported)
    assert (made["id"], made["name"], made["creator"]) == (workflow, "yes", "anonymous")
    assert served.stored("Workflow", workflow)["spec"] == spec


@pytest.mark.parametrize("kind", ["application/yaml", "text/yaml; charset=utf-8", "application/json"])
def test_what_kubectl_shows_is_imported_under_a_name_of_its_own(served: Served, kind: str) -> None:
    workflow = served.create(name="Shown", steps=[STEP])
    shown = served.cluster.kubectl(
        "get", "workflow", workflow, "-n", served.namespace, "-o", "json" if kind.endswith("json") else "yaml"
    )
    without = re.sub(rf'^ +"?name"?: "?{workflow}"?,?\n', "", shown, flags=re.MULTILINE)
    assert without != shown
    made = imported(served, without, kind=kind)
    assert made["id"] != workflow
    stored, other = (served.stored("Workflow", one)["spec"] for one in (made["id"], workflow))
    assert stored == other


def test_the_examples_for_kubectl_can_be_imported(served: Served) -> None:
    # A compute profile of the reader's own has to be there before profile.yaml.
    for file in sorted({*(ROOT / "examples").glob("*.yaml")} - {ROOT / "examples" / "profile.yaml"}):
        for text in file.read_text().split("\n---\n"):
            if "\nkind: Workflow\n" in f"\n{text}":
                made = imported(served, text)
                served.ask("DELETE", f"/{made['id']}")


@pytest.mark.parametrize(
    ("text", "code", "pointer", "says"),
    [
        ("kind: Pod", 422, "/apiVersion", "must be nightcrawler.dev/v1alpha1"),
        (HEAD + "spec: {displayName: x, steps: [{name: a}]}", 422, "/spec/steps/0/image", "is required"),
        (HEAD + "spec: {displayName: x, stps: []}", 422, "/spec/stps", "is it 'steps' that was meant?"),
        (
            HEAD + "spec: {displayName: ''}",
            422,
            "/spec/displayName",
            "is required if metadata.name is not set",
        ),
        ("[1]", 422, "", "must be an object"),
        ("a: [", 400, None, "not YAML"),
        ("", 422, "", "a JSON object is required"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_where(
    served: Served, text: str, code: int, pointer: str | None, says: str
) -> None:
    problem = imported(served, text, code)
    if pointer is None:
        assert says in problem["detail"]
    else:
        found = {field.get("pointer", ""): field["detail"] for field in problem["errors"]}
        assert says in found[pointer]


def test_a_form_is_no_manifest(served: Served) -> None:
    problem = imported(served, HEAD, 415, "application/x-www-form-urlencoded")
    assert "send it as Content-Type: application/json or application/yaml" in problem["detail"]


def test_the_words_of_yaml_mean_what_they_do_to_kubectl(served: Served, tmp_path: Path) -> None:
    words = (*WORDS.split(), "! 12")
    text = "".join(f"w{index}: {word}\n" for index, word in enumerate(words))
    (tmp_path / "patch.yaml").write_text(text)
    (tmp_path / "map.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    read = served.cluster.kubectl(
        *("patch", "--local", "-o", "json", "-f", str(tmp_path / "map.yaml")),
        *("--type", "merge", "--patch-file", str(tmp_path / "patch.yaml")),
    )
    kubectls = {key: value for key, value in json.loads(read).items() if key.startswith("w")}
    assert json.loads(to_json(text.encode())) == kubectls


def test_statistics_count_what_has_ended_and_how_long_it_took(served: Served) -> None:
    workflow = served.create(name="Counted", steps=[STEP], tags=["counted"])
    for minute, phase in (("01", "Completed"), ("03", "Completed"), ("05", "Failed")):
        run = served.execute(workflow)
        times = {"startTime": "2099-07-10T10:00:00Z", "completionTime": f"2099-07-10T10:{minute}:00Z"}
        served.report(run, phase=phase, **times)
    served.execute(workflow)

    def shown(**query: str) -> Json:
        answer = served.http.get("/api/statistics", params={"tags": "counted", **query})
        read: Json = answer.json()
        return read

    eventually(lambda: shown()["failed"] == 1, what="all to be known")
    figures = shown()
    assert {
        word: figures[word] for word in ("executions", "running", "completed", "failed", "cancelled")
    } == {
        "executions": 4,
        "running": 1,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
    }
    assert figures["successRate"] == 0.6667
    assert figures["durationSeconds"] == {"mean": 120.0, "median": 60.0, "p95": 180.0, "max": 180.0}
    (group,) = shown(groupBy="workflow")["groups"]
    assert (group["workflowId"], group["workflow"], group["executions"]) == (workflow, "Counted", 4)
    assert [
        one["day"] for one in shown(groupBy="day", to="2099-07-11", **{"from": "2099-01-01"})["groups"]
    ] == ["2099-07-10"]
