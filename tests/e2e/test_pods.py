"""What a step may ask of its Pod, seen from inside the Pod and with kubectl."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.builders import Manifest, a_workflow
from tests.support.polling import eventually
from tests.support.real_node import PYTHON, Installation, Run, container, python, seconds_between, shell

pytestmark = pytest.mark.real_node

SHARED: Final[Manifest] = {"name": "shared", "mountPath": "/shared"}
# Ticks for ever, and would for ever after the step, if nobody ended it.
TICKER: Final = shell("trap 'exit 0' TERM; while true; do date +%s.%N > /shared/tick; sleep 0.2; done")
READER: Final = shell(
    "until test -s /shared/tick; do sleep 0.1; done; cat /shared/greeting; echo the side-car ticks"
)
COMPANIONS: Final[Manifest] = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"example.com/cost-centre": "42"}},
    "spec": {
        "volumes": [{"name": "shared", "emptyDir": {}}],
        "initContainers": [
            {
                "name": "prepare",
                "image": "busybox:1",
                "command": shell("echo hello from the init container > /shared/greeting"),
                "volumeMounts": [SHARED],
            },
            {
                "name": "ticker",
                "image": "busybox:1",
                "restartPolicy": "Always",
                "command": TICKER,
                "volumeMounts": [SHARED],
            },
        ],
        "containers": [{"name": "step", "volumeMounts": [SHARED]}],
    },
}
CONFINED: Final[Manifest] = {
    "spec": {
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000, "runAsNonRoot": True},
        "hostname": "confined",
        "containers": [
            {
                "name": "step",
                "env": [{"name": "MODE", "value": "of the template"}, {"name": "ADDED", "value": "$(MODE)"}],
                "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
}
CONFINED_PROGRAM: Final = shell(
    "id -u; id -g; hostname; echo $MODE; echo $ADDED; echo $KEPT; touch /file 2>/dev/null || echo read-only"
)
SCRATCH_PROGRAM: Final = shell(
    "dd if=/dev/zero of=/scratch/data bs=1024 count=2048 2>/dev/null; stat -c %s /scratch/data"
)
TOKEN_PROGRAM: Final = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'))"
SAID: Final = {
    "Companions": "hello from the init container\nthe side-car ticks\n",
    "Scratch": "2097152\n",
    "Confined": "1000\n1000\nconfined\nof the template\nof the template\nkept\nread-only\n",
    "Elsewhere": "/tmp\n",
    "Image's own": "no command of ours\n",
    "Token": "False\n",
    "Who": "NIGHTCRAWLER_ATTEMPT=1\nNIGHTCRAWLER_EXECUTION=pods\n"
    "NIGHTCRAWLER_STEP=Who\nNIGHTCRAWLER_WORKFLOW=pods\n",
}


@pytest.fixture(scope="module")
def run(here: Installation) -> Run:
    """Steps with all sorts of Pods, side by side."""
    workflow = (
        a_workflow("pods", order="Graph")
        .step("Companions", command=READER, pod=COMPANIONS)
        .step("Token", image=PYTHON, command=python(TOKEN_PROGRAM))
        .step("Scratch", command=SCRATCH_PROGRAM, resources={"ephemeralStorage": "10 MB"})
        .step(
            "Confined",
            command=CONFINED_PROGRAM,
            env=[{"name": "MODE", "value": "of the step"}, {"name": "KEPT", "value": "kept"}],
            pod=CONFINED,
        )
        .step("Elsewhere", command=["pwd"], working_dir="/tmp")
        .step("Image's own", image=PYTHON, args=["python", "-c", "print('no command of ours')"])
        .step("Who", command=shell("env | grep ^NIGHTCRAWLER_ | sort"))
    )
    return here.launch(workflow)["pods"]


def pod_of(run: Run, step: str) -> Manifest:
    """The Pod of a step."""
    (pod,) = [pod for pod in run.pods if pod["metadata"]["annotations"]["nightcrawler.dev/step"] == step]
    return pod


@pytest.mark.parametrize("step", SAID)
def test_a_program_has_everything_that_its_step_declares(run: Run, step: str) -> None:
    status = run.ended()
    assert status["phase"] == "Completed", status["message"]
    assert run.log(step) == SAID[step]


def test_a_side_car_ends_with_its_step(run: Run) -> None:
    run.ended()
    pod = eventually(
        lambda: pod_of(run, "Companions"),
        until=lambda pod: "terminated" in container(pod, "ticker").get("state", {}),
        what="the end of the side-car",
        within=60,
    )
    step = container(pod, "step")["state"]["terminated"]
    ticker = container(pod, "ticker")["state"]["terminated"]
    assert 0 <= seconds_between(step["finishedAt"], ticker["finishedAt"]) < 20
    eventually(
        lambda: pod_of(run, "Companions")["status"]["phase"],
        until=lambda phase: phase == "Succeeded",
        what="the Pod's success",
    )


def test_labels_and_annotations_of_the_template_stand_beside_ours(run: Run) -> None:
    run.ended()
    metadata = pod_of(run, "Companions")["metadata"]
    assert metadata["labels"] | {"team": "vision", "nightcrawler.dev/execution": "pods"} == metadata["labels"]
    assert metadata["annotations"]["example.com/cost-centre"] == "42"
    assert metadata["annotations"]["nightcrawler.dev/attempt"] == "1"


def test_scratch_space_is_requested_limited_and_mounted(run: Run) -> None:
    run.ended()
    spec = pod_of(run, "Scratch")["spec"]
    (step,) = spec["containers"]
    assert step["resources"] == {
        "requests": {"ephemeral-storage": "10M"},
        "limits": {"ephemeral-storage": "10M"},
    }
    assert {"name": "scratch", "mountPath": "/scratch"} in step["volumeMounts"]
    assert {"name": "scratch", "emptyDir": {"sizeLimit": "10M"}} in spec["volumes"]


def test_no_step_has_a_token_or_requests_unset_resources(run: Run) -> None:
    run.ended()
    for pod in run.pods:
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not [volume for volume in pod["spec"].get("volumes", ()) if "projected" in volume]
    assert pod_of(run, "Token")["spec"]["containers"][0]["resources"] == {}


def test_the_template_adds_and_takes_away_no_variable_of_ours(run: Run) -> None:
    run.ended()
    (step,) = pod_of(run, "Confined")["spec"]["containers"]
    names = [variable["name"] for variable in step["env"]]
    assert sorted(names) == sorted({*names}), "each once"
    assert {"MODE", "KEPT", "ADDED", "NIGHTCRAWLER_STEP", "NIGHTCRAWLER_ATTEMPT"} <= {*names}
