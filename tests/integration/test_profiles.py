"""Compute profiles on a real API server: what Pods get, what an edit changes, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.builders import a_profile, a_workflow
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]

LOADING = a_profile(
    "loading",
    display_name="Data-Loading",
    resources={"cpu": "100m", "memory": "64 MB"},
    shared_memory="16 MB",
)


@pytest.fixture
def loading(cluster: LocalCluster) -> Iterator[Team]:
    """A profile of the test's own, in the whole cluster."""
    made = Team(cluster, "default")
    made.apply(LOADING)
    yield made
    made.delete(names.COMPUTE_PROFILES, LOADING.name)


def asked(job: Json) -> Json:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    resources: Json = container["resources"]
    return resources


def edit(profile: Team, **resources: str) -> None:
    path = profile.path(names.COMPUTE_PROFILES, LOADING.name)
    profile.cluster.api.merge(path, {"spec": {"resources": resources}})


def test_a_run_keeps_the_profile_that_it_began_with(loading: Team, shared: Team) -> None:
    workflow = a_workflow("loader").step("one", lasts=1.5).step("two", resources={"memory": "32 MB"})
    (run,) = shared.runs(workflow.config(compute_profile="Data-Loading"))
    shared.until_pod_runs(run, "one")

    edit(loading, cpu="250m")

    shared.until_phase(run, "Completed")
    (one,), (two,) = shared.jobs(run, "one"), shared.jobs(run, "two")
    assert asked(one) == {"requests": {"cpu": "100m", "memory": "80M"}, "limits": {"memory": "80M"}}
    assert asked(two) == {"requests": {"cpu": "100m", "memory": "48M"}, "limits": {"memory": "48M"}}
    (pod,) = shared.pods(run, "two")
    (volume,) = [v for v in pod["spec"]["volumes"] if v["name"] == "shared-memory"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "16M"}

    def uses_the_edited() -> bool:
        later = shared.run("loader")
        shared.until_phase(later, "Completed")
        return all(asked(job)["requests"]["cpu"] == "250m" for job in shared.jobs(later))

    eventually(uses_the_edited, what="the operator to observe the edit")


def test_a_workflow_with_an_unknown_profile_and_its_runs_are_refused_with_the_existing_ones(
    shared: Team,
) -> None:
    (run,) = shared.runs(a_workflow("huge").step("one").config(compute_profile="Huge"))

    status = shared.until_phase(run, "Failed")

    known = "CPU-Optimized, GPU-Optimized, Memory-Optimized, Standard"
    assert status["message"] == f"there is no compute profile 'Huge'; there are: {known}"
    assert shared.condition(names.EXECUTIONS, run, "Accepted")["reason"] == "UnknownComputeProfile"
    accepted = shared.until_condition(names.WORKFLOWS, "huge", "Accepted", "False")
    assert accepted["reason"] == "UnknownComputeProfile"


def test_a_refused_workflow_is_accepted_once_its_profile_exists(cluster: LocalCluster, shared: Team) -> None:
    shared.apply(a_workflow("early").step("one", compute_profile="Late"))
    shared.until_condition(names.WORKFLOWS, "early", "Accepted", "False")
    everywhere = Team(cluster, "default")
    everywhere.apply(a_profile("late", display_name="Late"))
    try:
        shared.until_condition(names.WORKFLOWS, "early", "Accepted", "True")
        shared.until_phase(shared.run("early"), "Completed")
    finally:
        everywhere.delete(names.COMPUTE_PROFILES, "late")


def test_a_profile_applied_together_with_its_run_is_found(cluster: LocalCluster, shared: Team) -> None:
    everywhere = Team(cluster, "default")
    everywhere.apply(a_profile("prompt", resources={"cpu": "50m"}))
    try:
        (run,) = shared.runs(a_workflow("together").step("one", compute_profile="prompt"))
        shared.until_phase(run, "Completed")
        (job,) = shared.jobs(run)
        assert asked(job)["requests"]["cpu"] == "50m"
    finally:
        everywhere.delete(names.COMPUTE_PROFILES, "prompt")
