"""Every manifest in examples/, applied and run as examples/README.md says, ends as documented."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.support import examples
from tests.support.real_node import Installation, Run, container, seconds_between

pytestmark = pytest.mark.real_node

_NO_HEADER: Final = "ERROR file 2 of 3 has no header line"
ENDS: Final = {
    "failing": ("Failed", f"step 'Import' ended with exit code 3: {_NO_HEADER} (in the last of 2 attempts)"),
    "every-six-hours": ("Completed", "its step completed"),
    "hello": ("Completed", "its step completed"),
    "nightly": ("Completed", "its step completed"),
    "one-at-a-time": ("Completed", "its step completed"),
    "soonest": ("Completed", "its step completed"),
    "urgent": ("Completed", "its step completed"),
    "usage": ("Completed", "its step completed"),
}
"""Phase and message of the runs; of all others that all steps completed."""

LOGS: Final = {
    ("hello", "Greet"): ["Hello from Nightcrawler"],
    ("retries", "Call Service"): ["attempt 3 of Call Service", "the service answered"],
    ("retries", "Use Answer"): ["three is a charm"],
    ("parameters", "As Argument"): ['report for Müller & "Söhne" $(HOSTNAME) with 2 pages'],
    ("parameters", "In a Shell"): [f'page {n} for Müller & "Söhne" $(HOSTNAME)' for n in (1, 2)],
    ("parameters", "As JSON"): ["3 layers, 2368 weights"],
    ("parameters", "Without a Value"): ["note: none"],
    ("parameters", "In Another Variable"): ['reports/Müller & "Söhne" $(HOSTNAME).pdf'],
    ("cheapest", "Count"): ["1000000"],
    ("one-at-a-time", "Work"): ["nobody else was here"],
    ("urgent", "Go First"): ["after you? no, after me"],
    ("profile", "Load"): ["4 loaders share 62500 kB"],
    ("profile", "Load More"): ["8 loaders"],
    ("profile", "Report"): ["no loaders"],
    ("notifications", "Report"): ["report written"],
    ("shared-volume", "Download"): ["20000"],
    ("shared-volume", "Clean"): ["13122"],
    ("shared-volume", "Aggregate"): ["127183844"],
    ("shared-volume", "Pack"): ["clean", "result.tar.gz", "sum"],
    ("shared-volume", "Verify"): ["127183844"],
    ("traced", "Extract"): ["part of trace 33"],
    ("traced", "Load"): ["attributes: 4"],
    ("secrets", "One Variable"): ["the password has 9 characters"],
    ("secrets", "All Variables"): ["logging in as nightcrawler"],
    ("secrets", "Files"): ["keys: WAREHOUSE_PASSWORD WAREHOUSE_USER"],
}


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """A run of each example, all at the same time."""
    made = {}
    for name in examples.NAMES:
        here.kubectl("apply", "-f", str(examples.FOLDER / f"{name}.yaml"))
        created = here.kubectl("create", "-f", str(examples.FOLDER / "run" / f"{name}.yaml"), "-o", "name")
        made[name] = Run(here, created.strip().rpartition("/")[2])
    return made


@pytest.mark.parametrize("name", examples.NAMES)
def test_an_example_ends_as_it_is_documented(runs: dict[str, Run], name: str) -> None:
    steps = len(examples.workflow(name)["spec"]["steps"])
    status = runs[name].ended()
    assert (status["phase"], status["message"]) == ENDS.get(
        name, ("Completed", f"all {steps} steps completed")
    )
    if status["phase"] == "Completed":
        assert status["progress"] == f"{steps}/{steps}"
        assert {step["phase"] for step in status["steps"].values()} == {"Completed"}
        assert {step["exitCode"] for step in status["steps"].values()} == {0}


@pytest.mark.parametrize(("name", "step"), LOGS)
def test_the_log_of_an_example_says_what_it_computed(runs: dict[str, Run], name: str, step: str) -> None:
    runs[name].ended()
    assert runs[name].log(step).splitlines() == LOGS[name, step]


def test_the_classifier_learns_and_is_good_enough_to_export(runs: dict[str, Run]) -> None:
    run = runs["image-classification"]
    run.ended()
    (said,) = run.log("Model Evaluation").splitlines()
    assert float(said.removeprefix("accuracy on images never seen: ").removesuffix("%")) >= 80
    assert len(run.log("Model Training").splitlines()) == 10, "a line for each epoch"


def test_the_steps_of_the_graph_run_when_their_dependencies_are_complete(runs: dict[str, Run]) -> None:
    steps = runs["dag"].ended()["steps"]
    checks = [steps[name] for name in ("Orders", "Customers", "Stock")]
    for check in checks:
        assert check["startTime"] >= steps["Extract"]["completionTime"]
        assert check["completionTime"] <= steps["Report"]["startTime"]
    made = [
        pod["metadata"]["creationTimestamp"]
        for pod in runs["dag"].pods
        if pod["metadata"]["annotations"]["nightcrawler.dev/step"] in ("Orders", "Customers", "Stock")
    ]
    assert max(made) <= min(one["completionTime"] for one in checks), "side by side"


def test_the_failing_example_skips_what_comes_after(runs: dict[str, Run]) -> None:
    steps = runs["failing"].ended()["steps"]
    assert {name: step["phase"] for name, step in steps.items()} == {
        "Download": "Completed",
        "Import": "Failed",
        "Publish": "Skipped",
    }
    assert (steps["Import"]["attempt"], steps["Import"]["exitCode"], steps["Import"]["reason"]) == (
        2,
        3,
        "Error",
    )


def test_a_further_attempt_comes_after_the_delay(runs: dict[str, Run]) -> None:
    status = runs["retries"].ended()
    assert status["steps"]["Call Service"]["attempt"] == 3
    attempts = [
        container(pod, "step")["state"]["terminated"]
        for pod in runs["retries"].pods
        if pod["metadata"]["annotations"]["nightcrawler.dev/step"] == "Call Service"
    ]
    assert [attempt["exitCode"] for attempt in attempts] == [75, 75, 0]
    for last, following in pairwise(attempts):
        waited = seconds_between(last["finishedAt"], following["startedAt"])
        assert 2 <= waited < 30, "its own delay, not the default one"


def test_the_pod_of_the_gpu_example_asks_for_exactly_what_is_written(
    here: Installation, runs: dict[str, Run]
) -> None:
    runs["gpu-training"].ended()
    shown = here.kubectl("get", "pods", "-l", "nightcrawler.dev/workflow=gpu-training", "-o", "json")
    pods = {
        pod["metadata"]["annotations"]["nightcrawler.dev/step"]: pod for pod in json.loads(shown)["items"]
    }
    assert requested(pods["Model Training"]) == {
        "requests": {"cpu": "16", "memory": "64G", "nvidia.com/gpu": "8"},
        "limits": {"memory": "64G", "nvidia.com/gpu": "8"},
    }
    assert requested(pods["Data Preparation"]) == {
        "requests": {"cpu": "4", "memory": "16G"},
        "limits": {"memory": "16G"},
    }
    spec = pods["Model Training"]["spec"]
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchExpressions"] == [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-SXM4-80GB"]}
    ]
    assert spec["nodeName"] in ("gpu-1", "gpu-2")
    assert "affinity" not in pods["Data Preparation"]["spec"], (
        "it needs no GPU, so any node of the Environment will do"
    )
    assert (
        spec["containers"][0]["args" if "args" in spec["containers"][0] else "command"][-1]
        == "$(PARAM_epochs)"
    )


def test_the_limits_of_the_classifier_are_those_of_config_unless_a_step_says_otherwise(
    runs: dict[str, Run],
) -> None:
    run = runs["image-classification"]
    run.ended()
    pods = {pod["metadata"]["annotations"]["nightcrawler.dev/step"]: requested(pod) for pod in run.pods}
    usual = {"requests": {"cpu": "100m", "memory": "128M"}, "limits": {"cpu": "1", "memory": "128M"}}
    training = {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}
    assert pods.pop("Model Training") == training
    assert list(pods.values()) == [usual] * 4


def test_half_of_a_core_that_was_asked_for_is_about_half_used(
    here: Installation, runs: dict[str, Run]
) -> None:
    run = runs["usage"]
    status = run.ended()
    usage = status["steps"]["Work and Rest"]["usage"]
    # On a machine with more to do it gets less than it wants, which it says itself.
    used = re.fullmatch(r"used (\d+)% of a core", run.log("Work and Rest").strip())
    assert used is not None
    assert int(used[1]) <= 60
    assert usage["cpu"]["average"] == pytest.approx(int(used[1]), abs=25)
    assert usage["cpu"]["average"] <= usage["cpu"]["peak"] + 1
    assert 1 <= usage["memory"]["average"] <= 100
    assert "gpu" not in usage, "nobody measures it here"
    assert status["resourceUsage"] == {what: usage[what]["average"] for what in ("cpu", "memory")}
    shown = here.http.get(f"/api/workflows/usage/executions/{run.name}").json()
    assert shown["resourceUsage"] == status["resourceUsage"]
    assert shown["stepExecutions"][0]["peakUsage"]["cpu"] == usage["cpu"]["peak"]


def test_a_step_that_is_too_short_to_be_measured_has_no_usage(runs: dict[str, Run]) -> None:
    status = runs["hello"].ended()
    assert "usage" not in status["steps"]["Greet"]
    assert "resourceUsage" not in status


def requested(pod: dict[str, Any]) -> dict[str, Any]:
    """What a Pod's only container asks for."""
    (only,) = pod["spec"]["containers"]
    resources: dict[str, Any] = only["resources"]
    return resources
