"""What the demo decides: the cluster, the Environments that fit it, and the lines it prints of a run.

tests/e2e/test_demo.py runs all of it but for the cluster, whose own start is in tests/tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import walkthrough
from demo.cluster import ENVIRONMENTS, environments
from demo.runs import Run, Step, changes, of_answer, of_object
from demo.terminal import DemoError, as_typed
from localcluster import ClusterError, demonstration, kind
from localcluster.demonstration import BuildPaths

SHIPPED = list(yaml.safe_load_all(ENVIRONMENTS.read_text()))
SIMULATED = {"kwok.x-k8s.io/node": "fake"}


def node(**labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {key.replace("pool", "nightcrawler.dev/pool"): v for key, v in labels.items()}}
    }


def simulated(**labels: str) -> dict[str, Any]:
    made = node(**labels)
    made["metadata"]["labels"] |= SIMULATED
    return made


def specs(made: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {environment["metadata"]["name"]: environment["spec"] for environment in made}


def test_the_embedded_cluster_takes_the_environments_as_they_are() -> None:
    assert environments(SHIPPED, [node(pool="local"), simulated(pool="gpu")]) == SHIPPED


def test_without_a_real_node_local_means_the_simulated_ones() -> None:
    made = specs(environments(SHIPPED, [simulated(pool="gpu")]))
    assert "nodeSelector" not in made["local"]
    assert made["local"]["tolerations"] == made["gpu"]["tolerations"]
    assert "production" in made["local"]["aliases"]


def test_on_another_cluster_local_is_any_node_and_there_is_no_gpu() -> None:
    made = specs(environments(SHIPPED, [node(role="worker"), node()]))
    assert made.keys() == {"local"}
    assert not made["local"].keys() & {"nodeSelector", "tolerations"}


def test_only_changes_are_printed_and_the_run_last() -> None:
    before = Run("Running", "", steps={"Prepare": Step("Running"), "Train": Step("Pending", "pulling")})
    now = Run(
        "Failed",
        "Train: exit code 3",
        "4 s",
        {"Prepare": Step("Running"), "Train": Step("Failed", "exit code 3")},
    )
    assert changes(before, now) == [
        "Failed     Train (exit code 3)",
        "the run is Failed: Train: exit code 3 (in 4 s)",
    ]
    assert changes(now, now) == []


def test_an_execution_without_a_status_is_pending() -> None:
    assert changes(None, of_object({"metadata": {"name": "x"}})) == ["the run is Pending"]


def test_an_execution_is_read_with_the_time_its_steps_took() -> None:
    status = {
        "phase": "Completed",
        "startTime": "2026-01-01T10:00:00Z",
        "completionTime": "2026-01-01T10:01:15Z",
        "steps": {
            "Train": {
                "phase": "Completed",
                "startTime": "2026-01-01T10:00:00Z",
                "completionTime": "2026-01-01T10:01:10Z",
            }
        },
    }
    assert of_object({"status": status}) == Run("Completed", "", "75 s", {"Train": Step("Completed", "70 s")})


def test_a_response_of_the_facade_reads_like_the_custom_resource() -> None:
    answer = {
        "status": "failed",
        "error": "Train: exit code 3",
        "duration": "00:00:04",
        "stepExecutions": [
            {
                "name": "Prepare",
                "status": "completed",
                "duration": "00:00:02",
                "endTime": "2026-01-01T10:00:02Z",
            },
            {"name": "Train", "status": "failed", "error": "exit code 3", "endTime": "2026-01-01T10:00:04Z"},
        ],
    }
    steps = {"Prepare": Step("Completed", "00:00:02"), "Train": Step("Failed", "exit code 3")}
    assert of_answer(answer) == Run("Failed", "Train: exit code 3", "00:00:04", steps)


def test_commands_are_shown_as_a_shell_takes_them() -> None:
    assert as_typed(["curl", "-d", '{"a": 1}', "http://x/y"]) == "curl -d '{\"a\": 1}' http://x/y"


def test_a_cluster_of_the_users_own_is_for_processes_on_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTCRAWLER_KUBECONFIG", "/home/jane/.kube/config")
    with pytest.raises(
        DemoError, match="Run operator and facade on this host with `make dev`, or push the image"
    ):
        walkthrough.up(in_kind=False)


def test_kind_without_docker_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"no Docker engine answers[.] Start it, or use `make demo`"):
        kind.require()


def test_of_kind_the_demo_asks_for_a_cluster_its_kubeconfig_and_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Docker engine runs here: these are the commands, and the rest of the demo is the same."""
    asked = tmp_path / "asked"
    for name, says in {"docker": "echo 28", "kind": f'echo "$@" >>{asked}'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    kind.require()
    paths = BuildPaths(tmp_path / "build")
    demonstration.up_kind(paths, [Path("/image.tar")])
    assert asked.read_text().splitlines() == [
        "get clusters",
        f"create cluster --name=nightcrawler --config={kind.CONFIGURATION} --wait=120s",
        f"export kubeconfig --name=nightcrawler --kubeconfig={paths.kubeconfig}",
        "load image-archive /image.tar --name=nightcrawler",
    ]
    nodes = yaml.safe_load(kind.CONFIGURATION.read_text())["nodes"]
    assert environments(SHIPPED, [{"metadata": {"labels": one["labels"]}} for one in nodes]) == SHIPPED[:1]
