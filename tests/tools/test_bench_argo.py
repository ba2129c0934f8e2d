"""What Argo's controller is given: workflows, configuration, flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.engines import DURATION, Meta
from tests.bench.engines.argo import PROFILES, Argo, configuration, flags_of, manifests_in, run
from tests.bench.shapes import chain, diamond


def _argo() -> Argo:
    return Argo(Path("/somewhere/workflow-controller"), Path("/somewhere/crds"), PROFILES["installed"])


def test_a_chain_becomes_steps_one_after_another() -> None:
    whole, work = run(chain(3, 0.1), "chain-7")["spec"]["templates"]
    assert whole["steps"] == [[{"name": f"step-{n}", "template": "work"}] for n in range(3)]
    assert work["metadata"]["annotations"] == {DURATION: "0.1s"}


def test_a_diamond_becomes_a_dag_with_its_dependencies() -> None:
    made = run(diamond(1), "dag-7")
    assert made["metadata"]["name"] == "dag-7"
    assert made["spec"]["entrypoint"] == "whole"
    tasks = {task["name"]: task["dependencies"] for task in made["spec"]["templates"][0]["dag"]["tasks"]}
    assert tasks == {"a": [], "b": ["a"], "c": ["a"], "d": ["a"], "e": ["b", "c", "d"]}


def test_a_step_names_its_command_and_no_outputs_so_that_nothing_is_looked_up_or_reported() -> None:
    work = run(chain(1, 1), "one")["spec"]["templates"][1]
    assert work["container"]["command"]
    assert "outputs" not in work


def test_its_metrics_open_no_port() -> None:
    assert configuration()["data"]["metricsConfig"] == "enabled: false\n"


@pytest.mark.parametrize("node", ["chain-7[0].step-2", "chain-7.step-2"], ids=["steps", "DAG"])
def test_a_pod_names_its_run_and_step(node: str) -> None:
    pod = Meta(
        labels={"workflows.argoproj.io/workflow": "chain-7"},
        annotations={"workflows.argoproj.io/node-name": node},
    )
    assert _argo().step_of(pod) == ("chain-7", "step-2")


def test_a_pod_of_somebody_else_belongs_to_no_step() -> None:
    assert _argo().step_of(Meta(name="other", labels={"app": "other"})) is None


def test_its_process_is_named_as_the_user_agent_of_its_requests_begins() -> None:
    assert _argo().name == "workflow-controller"


def test_flags_are_read_as_a_shell_reads_them() -> None:
    assert flags_of("--qps=100  --burst 200 '--log-format=a b'") == (
        "--qps=100", "--burst", "200", "--log-format=a b",
    )  # fmt: skip
    assert flags_of("") == ()


def test_added_flags_come_last_and_so_win() -> None:
    tuned = PROFILES["tuned"]
    more = tuned.with_flags(["--qps=9"])
    assert more.flags == (*tuned.flags, "--qps=9")
    assert (more.what, more.requeue) == (tuned.what, tuned.requeue)


def test_the_installed_profile_has_no_flags_of_ours() -> None:
    installed = PROFILES["installed"]
    assert installed.flags == ()
    assert installed.requeue == "10s", "its default"


def test_only_manifests_of_its_custom_resources_are_accepted(tmp_path: Path) -> None:
    for name in ("argoproj.io_workflows.yaml", "argoproj.io_cronworkflows.yaml", "kustomization.yaml"):
        (tmp_path / name).write_text(json.dumps({}))
    found = [file.name for file in manifests_in(tmp_path)]
    assert found == ["argoproj.io_cronworkflows.yaml", "argoproj.io_workflows.yaml"]
    assert manifests_in(tmp_path / "missing") == []
