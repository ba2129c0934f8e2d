"""What keeps a Pod from starting is reported with its container, in bounded time, in plain characters."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from tests.support.builders import Manifest, WorkflowBuilder, a_workflow
from tests.support.real_node import PYTHON, Installation, Run, python, shell
from tests.support.resources import Json

pytestmark = pytest.mark.real_node

# The hook fails only once the program can answer SIGTERM: before its trap is set, the first process of a
# container ignores the signal, and is killed with 137 when its grace period is over.
ANSWERS: Final = "trap 'exit 0' TERM; touch /tmp/answers; while true; do sleep 0.1; done"
FAILS: Final = "until [ -e /tmp/answers ]; do sleep 0.1; done; false"
COLOURED: Final = r"printf 'loading 10%%\r\033[31mERROR\033[0m \033]0;mine\007no such table\r\n'; exit 3"


def sidecar(*command: str, image: str = "busybox:1", **fields: Any) -> Manifest:
    """A podTemplate with a side-car."""
    return before(*command, image=image, restartPolicy="Always", **fields)


def before(*command: str, image: str = "busybox:1", **fields: Any) -> Manifest:
    """A podTemplate with an init container."""
    written = {"name": "helper", "image": image, "command": [*command], **fields}
    return {"spec": {"initContainers": [written]}}


def itself(**fields: Any) -> Manifest:
    """A podTemplate with fields of the step's own container."""
    return {"spec": {"containers": [{"name": "step", **fields}]}}


def only(name: str, **step: Any) -> WorkflowBuilder:
    """A workflow of one step, called Work."""
    return a_workflow(name).step("Work", **{"command": ["true"], **step})


NEVER_UP: Final[Manifest] = {
    "exec": {"command": ["false"]},
    "periodSeconds": 1,
    "failureThreshold": 1,
    "terminationGracePeriodSeconds": 1,
}
HUNGRY: Final = python("grown = bytearray()\nwhile True: grown += bytes(8_000_000)")
FAILING: Final = (
    only("root-forbidden", pod=itself(securityContext={"runAsNonRoot": True})),
    only("sidecar-no-program", pod=sidecar("trian.py")),
    only("sidecar-bad-image", pod=sidecar("true", image="Not An Image")),
    only("sidecar-unpullable", pod=sidecar("true", image="127.0.0.1:1/nothing/there:1")),
    only("sidecar-missing-secret", pod=sidecar("true", envFrom=[{"secretRef": {"name": "nowhere"}}])),
    only("sidecar-never-up", pod=sidecar("sleep", "600", startupProbe=NEVER_UP)),
    only("init-hungry", pod=before(*HUNGRY, image=PYTHON, resources={"limits": {"memory": "48Mi"}})),
    only("init-no-program", pod=before("trian.py")),
    only(
        "hook-fails",
        command=shell(ANSWERS),
        pod=itself(lifecycle={"postStart": {"exec": {"command": shell(FAILS)}}}),
    ),
    only("coloured", command=shell(COLOURED)),
)
MESSAGES: Final = {
    "root-forbidden": (
        "CannotStart",
        "cannot start: its container has runAsNonRoot: true, and its image 'busybox:1' runs as root; set ",
    ),
    "sidecar-no-program": (
        "CannotStart",
        "cannot start: the side-car 'helper' could not be started: ",
    ),
    "sidecar-bad-image": (
        "ImageUnavailable",
        "cannot start: the image 'Not An Image' of the side-car 'helper' cannot be used: correct its name",
    ),
    "sidecar-unpullable": (
        "ImageUnavailable",
        "cannot start: the image '127.0.0.1:1/nothing/there:1' of the side-car 'helper' cannot be pulled: ",
    ),
    "sidecar-missing-secret": (
        "MissingConfiguration",
        "cannot start: the side-car 'helper' names something that is not there: secret \"nowhere\" not found",
    ),
    "sidecar-never-up": (
        "InitContainerFailed",
        "cannot start: the side-car 'helper' keeps failing: it ended",
    ),
    "init-hungry": (
        "InitContainerFailed",
        "could not begin: the init container 'helper' ran out of memory; give it more in its",
    ),
    "init-no-program": (
        "InitContainerFailed",
        "could not begin: the init container 'helper' could not be started: ",
    ),
    "hook-fails": ("Error", "was ended with exit code 0, for its postStart hook failed"),
    "coloured": ("Error", "ended with exit code 3: ERROR no such table"),
}


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """All of them, at the same time."""
    return here.launch(*FAILING)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_step_says_which_container_is_at_fault_and_how(runs: dict[str, Run], name: str) -> None:
    status = runs[name].ended()
    step = status["steps"]["Work"]
    reason, message = MESSAGES[name]
    assert (status["phase"], step["reason"]) == ("Failed", reason), step["message"]
    assert step["message"].startswith(f"step 'Work' {message}")


def test_a_programs_last_line_is_plain_in_the_status_and_over_rest(
    here: Installation, runs: dict[str, Run]
) -> None:
    run = runs["coloured"]
    sentence = "step 'Work' ended with exit code 3: ERROR no such table"
    assert run.ended()["message"] == sentence
    shown = here.http.get(f"/api/workflows/{run.name}/executions/{run.name}").raise_for_status().json()
    (step,) = shown["stepExecutions"]
    assert (shown["error"], step["error"]) == (sentence, sentence)
    assert [line["message"] for line in step["logs"]] == ["ERROR no such table"]
    assert step["logs"][0]["level"] == "error"


def failing_beside(status: Json, reason: str | None) -> bool:
    """Whether the step runs and says this of what is beside it."""
    step = status.get("steps", {}).get("Work", {})
    return (step.get("phase"), step.get("reason")) == ("Running", reason)


def test_a_sidecar_that_keeps_failing_is_reported_while_the_steps_result_stays_its_own(
    here: Installation,
) -> None:
    waits = "i=0; while [ ! -e /tmp/done ] && [ $i -lt 600 ]; do sleep 0.2; i=$((i+1)); done"
    pod = sidecar(*shell("sleep 2; echo 'no route to host' >&2; exit 4"))
    pod["spec"]["initContainers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    run = here.launch(only("sidecar-falls", command=shell(waits), pod=pod))["sidecar-falls"]
    status = run.until(
        partial(failing_beside, reason="SidecarFailing"), "that its side-car fails", within=180
    )
    assert status["steps"]["Work"]["message"] == (
        "step 'Work' runs, but the side-car 'helper' was started again and again: "
        "it ended with exit code 4: no route to host"
    )
    name = run.pods[-1]["metadata"]["name"]
    here.kubectl("exec", name, "--container=step", "--", "touch", "/tmp/done")
    status = run.ended()
    assert (status["phase"], status["steps"]["Work"].get("reason")) == ("Completed", None)
