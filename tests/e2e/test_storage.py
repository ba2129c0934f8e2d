"""The volume of a run on a real node, from a real provisioner."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.builders import a_workflow, an_environment
from tests.support.polling import eventually
from tests.support.real_node import Installation, Run, shell

pytestmark = pytest.mark.real_node

NOT_ROOT: Final = {"spec": {"securityContext": {"runAsUser": 1000, "runAsNonRoot": True}}}
STORAGE: Final[dict[str, Any]] = {"storage": {"persistentVolume": "10 MB"}}


def listed(here: Installation, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(here.kubectl("get", *arguments, "--output=json"))["items"]
    return found


def claims(here: Installation, run: Run) -> list[dict[str, Any]]:
    selector = f"--selector={names.LABEL_EXECUTION}={run.name}"
    return listed(here, "pvc", f"--namespace={run.namespace}", selector)


def test_a_volume_is_there_for_all_steps_and_gone_with_the_run(here: Installation, elsewhere: str) -> None:
    write = 'echo "from $NIGHTCRAWLER_STEP" >> /workspace/log; cat /workspace/log'
    workflow = a_workflow("hands-on", config=STORAGE)
    for name in ("One", "Two", "Three"):
        workflow = workflow.step(name, command=shell(write), pod=NOT_ROOT)
    run = here.launch(workflow, namespace=elsewhere)["hands-on"]
    assert run.ended()["phase"] == "Completed"
    assert run.log("Three").splitlines() == ["from One", "from Two", "from Three"]
    (claim,) = claims(here, run)
    (volume,) = [one for one in listed(here, "pv") if one["metadata"]["name"] == claim["spec"]["volumeName"]]
    content = here.cluster.folder / "volumes" / "content"
    (folder,) = [one for one in content.iterdir() if one.name.startswith(volume["metadata"]["name"])]
    assert (folder / "log").read_text().splitlines() == ["from One", "from Two", "from Three"]
    run.delete()
    eventually(lambda: not claims(here, run), what="the end of the claim", within=60)
    eventually(lambda: not folder.exists(), what="the end of the folder", within=60)


def test_steps_with_and_without_a_gpu_share_a_node(here: Installation, elsewhere: str) -> None:
    workflow = (
        a_workflow("mixed", environments=["gpu"], config=STORAGE)
        .step("Prepare")
        .step("Train", resources={"gpu": "8x NVIDIA A100"})
        .step("Report")
    )
    run = here.launch(workflow, namespace=elsewhere)["mixed"]
    assert run.ended()["phase"] == "Completed"
    assert len({pod["spec"]["nodeName"] for pod in run.pods}) == 1


def test_while_there_is_no_volume_the_run_waits_in_the_provisioners_words(
    here: Installation, elsewhere: str
) -> None:
    absent = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none"}
    name = f"{elsewhere}-none"
    here.apply({**absent, "metadata": {"name": name}})
    here.apply(an_environment(name, storageClassName=name).manifest())
    try:
        workflow = a_workflow("waiting", environments=[name], config=STORAGE).step("One")
        run = here.launch(workflow, namespace=elsewhere)["waiting"]
        status = run.until(
            lambda status: status.get("steps", {}).get("One", {}).get("reason") == conditions.STEP_VOLUME,
            "waiting for its volume",
        )
        assert "step 'One' waits for the volume of its run: " in status["message"]
        assert "'example.com/none'" in status["message"]
        run.cancel()
        assert run.ended()["phase"] == "Cancelled"
        eventually(lambda: not claims(here, run), what="the end of the claim", within=60)
    finally:
        here.kubectl("delete", "wfenv,storageclass", name)
