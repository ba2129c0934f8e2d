"""Failures of real Pods are reported in plain sentences, once they are certain and not before."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.support.builders import Manifest, WorkflowBuilder, a_workflow
from tests.support.polling import eventually
from tests.support.real_node import (
    PULL_TIMEOUT,
    PYTHON,
    Installation,
    Run,
    container,
    python,
    seconds_between,
    shell,
)
from tests.support.resources import Json

pytestmark = pytest.mark.real_node

# Longer than the test: whoever waits for its end waits in vain, unless something else ends it.
STUBBORN: Final = shell("trap 'exit 0' TERM; while true; do sleep 0.1; done")
NO_REGISTRY: Final = "127.0.0.1:1/nothing/there:1"


def mounting(volume: Manifest) -> Manifest:
    """A podTemplate with a volume at /data."""
    return {
        "spec": {
            "volumes": [{"name": "data", **volume}],
            "containers": [{"name": "step", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        }
    }


def getting_ready(seconds: int) -> Manifest:
    """A podTemplate with an init container that takes so long."""
    first = {"name": "fetch", "image": "busybox:1", "command": shell(f"sleep {seconds}")}
    return {"spec": {"initContainers": [first]}}


def variable(source: str, name: str) -> list[Manifest]:
    """A variable VALUE from the key `value` of a Secret (secretKeyRef) or ConfigMap (configMapKeyRef)."""
    return [{"name": "VALUE", "valueFrom": {source: {"name": name, "key": "value"}}}]


def only(name: str, **step: Any) -> WorkflowBuilder:
    """A workflow of one step, called Work."""
    return a_workflow(name).step("Work", **step)


HUNGRY: Final = "grown = bytearray()\nwhile True: grown += bytes(8_000_000)"
FAILING: Final = (
    only("out-of-memory", image=PYTHON, command=python(HUNGRY), resources={"memory": "48Mi"}),
    only(
        "exit-code", command=shell("exec 2>&1; echo reading; echo 'ERROR no such table: orders' >&2; exit 4")
    ),
    only("silent", command=["false"]),
    only("no-such-program", command=["trian.py"]),
    only("bad-image-name", image="Not An Image"),
    only("unpullable", image=NO_REGISTRY, command=["true"]),
    only("missing-secret", command=["true"], env=variable("secretKeyRef", "nowhere")),
    only("missing-volume", command=["true"], pod=mounting({"secret": {"secretName": "nowhere"}})),
    only(
        "init-fails",
        command=["true"],
        pod={
            "spec": {
                "initContainers": [
                    {
                        "name": "fetch",
                        "image": "busybox:1",
                        "command": shell("echo 'no route to host'; exit 6"),
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                    }
                ]
            }
        },
    ),
    only("step-timeout", command=STUBBORN, timeout="2 seconds", retries=1, retry_delay=0),
    only(
        "late-and-stuck",
        command=shell("trap 'exit 0' TERM; echo begun; while true; do sleep 0.1; done"),
        timeout="4 seconds",
        pod=getting_ready(8),
    ),
    a_workflow("run-timeout")
    .step("Quick", command=["true"])
    .step("Work", command=STUBBORN)
    .config(timeout=20),
)
GREEDY: Final = only(
    "out-of-disk",
    command=shell("dd if=/dev/zero of=/scratch/data bs=1M count=40 2>/dev/null; sleep 600"),
    resources={"ephemeralStorage": "10 MB"},
)
POLITE: Final = only(
    "politely-out-of-disk",
    # What the kubelet then calls a success.
    command=shell(
        "trap 'exit 0' TERM; dd if=/dev/zero of=/scratch/data bs=1M count=40 2>/dev/null; sleep 600 & wait"
    ),
    resources={"ephemeralStorage": "10 MB"},
)
LATE: Final = (
    only("late-variable", command=shell('echo "$VALUE"'), env=variable("configMapKeyRef", "late")),
    only("late-volume", command=["cat", "/data/value"], pod=mounting({"configMap": {"name": "late"}})),
)
SLOW_START: Final = only(
    "slow-start", command=shell("sleep 2; echo done"), timeout="5 seconds", pod=getting_ready(10)
)
ATTEMPTS: Final = only(
    "third-time-lucky",
    command=shell('echo "attempt $NIGHTCRAWLER_ATTEMPT"; test "$NIGHTCRAWLER_ATTEMPT" -eq 3'),
    retries=2,
    retry_delay="3 seconds",
)


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """All of them, at the same time; most wait for something, not for each other."""
    return here.launch(*FAILING, SLOW_START, ATTEMPTS, GREEDY, POLITE)


MESSAGES: Final = {
    "out-of-memory": (
        "OutOfMemory",
        "ran out of memory (its limit is 48Mi); give it more in resources.memory",
    ),
    "exit-code": ("Error", "ended with exit code 4: ERROR no such table: orders"),
    "silent": ("Error", "ended with exit code 1"),
    "bad-image-name": (
        "ImageUnavailable",
        "cannot start: the image 'Not An Image' of its container cannot be used: ",
    ),
    "no-such-program": (
        "CannotStart",
        'could not be started: failed to create containerd task: ... "trian.py"',
    ),
    "unpullable": (
        "ImageUnavailable",
        f"cannot start: the image '{NO_REGISTRY}' of its container cannot be pulled: ... connection refused",
    ),
    "missing-secret": (
        "MissingConfiguration",
        'cannot start: its container names something that is not there: secret "nowhere" not found',
    ),
    "missing-volume": (
        "MissingConfiguration",
        'cannot start: a volume of its Pod names something that is not there: ... secret "nowhere" not found',
    ),
    "init-fails": (
        "InitContainerFailed",
        "could not begin: the init container 'fetch' ended with exit code 6: no route to host",
    ),
    "step-timeout": ("TimedOut", "took longer than its timeout of 2 seconds (in the last of 2 attempts)"),
    "late-and-stuck": ("TimedOut", "took longer than its timeout of 4 seconds"),
    "run-timeout": ("TimedOut", "was ended because the run took longer than its timeout of 20"),
}
"""Reason and message of the step Work; `...` stands for text of the node."""


def waits_for(reason: str, status: Json) -> bool:
    """Whether the step Work waits for this reason; on a busy node it is first being set up."""
    return bool(status.get("steps", {}).get("Work", {}).get("reason") == reason)


def test_a_missing_object_is_reported_while_it_is_waited_for(runs: dict[str, Run]) -> None:
    waited = {
        "unpullable": "ImagePull",
        "missing-secret": "MissingConfiguration",
    }
    for name, reason in waited.items():
        status = runs[name].until(partial(waits_for, reason), "why it waits")
        assert status["phase"] == "Pending"
        assert status["message"] == status["steps"]["Work"]["message"]


@pytest.fixture(scope="module")
def late_runs(here: Installation) -> dict[str, Run]:
    """Runs whose ConfigMap is created once they wait for it; begun with the others, they might fail first."""
    late = here.launch(*LATE)
    late["late-variable"].until(partial(waits_for, "MissingConfiguration"), "why it waits")
    eventually(lambda: late["late-volume"].pods, what="its Pod")
    here.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"value": "in time"}}
    )
    return late


@pytest.mark.parametrize("name", [one.name for one in LATE])
def test_a_config_map_that_comes_within_the_grace_lets_the_step_run(
    late_runs: dict[str, Run], name: str
) -> None:
    status = late_runs[name].ended()
    assert status["phase"] == "Completed", status["message"]
    assert late_runs[name].log("Work").strip() == "in time"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_step_says_why_it_failed(runs: dict[str, Run], name: str) -> None:
    status = runs[name].ended()
    step = status["steps"]["Work"]
    reason, message = MESSAGES[name]
    assert (status["phase"], step["phase"], step["reason"]) == ("Failed", "Failed", reason)
    start, _, end = f"step 'Work' {message}".partition("...")
    assert step["message"].startswith(start.rstrip())
    assert step["message"].endswith(end.strip()) or end.strip() in step["message"]
    assert "\n" not in step["message"]


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"run-timeout"}))
def test_the_run_says_what_its_step_says(runs: dict[str, Run], name: str) -> None:
    status = runs[name].ended()
    (finished,) = [one for one in status["conditions"] if one["type"] == "Finished"]
    assert status["message"] == status["steps"]["Work"]["message"] == finished["message"]
    assert (finished["status"], finished["reason"]) == ("True", "StepFailed")


@pytest.mark.parametrize(
    ("name", "code"), [("out-of-memory", 137), ("exit-code", 4), ("silent", 1), ("no-such-program", 128)]
)
def test_the_exit_code_is_kept(runs: dict[str, Run], name: str, code: int) -> None:
    assert runs[name].ended()["steps"]["Work"]["exitCode"] == code


def test_a_bad_image_name_fails_at_once_and_a_pull_only_after_its_timeout(runs: dict[str, Run]) -> None:
    unpullable, bad = runs["unpullable"], runs["bad-image-name"]
    created = unpullable.object["metadata"]["creationTimestamp"]
    # For the name an order, not a number of seconds: a busy machine is slow, but waits for no pull.
    assert seconds_between(created, unpullable.ended()["completionTime"]) >= PULL_TIMEOUT
    assert bad.ended()["completionTime"] < unpullable.ended()["completionTime"]


@pytest.mark.parametrize("name", ["missing-secret", "missing-volume"])
def test_a_missing_object_has_its_grace_and_not_much_more(runs: dict[str, Run], name: str) -> None:
    status = runs[name].ended()
    waited = seconds_between(runs[name].object["metadata"]["creationTimestamp"], status["completionTime"])
    assert 20 <= waited < 50


@pytest.mark.parametrize("name", ["unpullable", "missing-secret", "missing-volume", "bad-image-name"])
def test_a_step_that_is_given_up_leaves_no_pod(runs: dict[str, Run], name: str) -> None:
    runs[name].ended()
    runs[name].without_pods()


@pytest.mark.parametrize("name", ["exit-code", "out-of-memory"])
def test_a_step_that_failed_keeps_its_pod_and_its_log(
    here: Installation, runs: dict[str, Run], name: str
) -> None:
    runs[name].ended()
    pods = eventually(
        lambda: runs[name].pods,
        until=lambda pods: pods[0]["status"]["phase"] == "Failed",
        what="the Pod's end",
    )
    assert len(pods) == 1
    assert "deletionTimestamp" not in pods[0]["metadata"]
    assert runs[name].log("Work") == ("reading\nERROR no such table: orders\n" if name == "exit-code" else "")


def test_a_program_that_exits_with_0_at_its_timeout_has_timed_out(runs: dict[str, Run]) -> None:
    step = runs["step-timeout"].ended()["steps"]["Work"]
    assert step["exitCode"] == 0, "it traps SIGTERM; the kubelet's word counts, not its own"
    assert step["attempt"] == 2, "a timeout uses up a retry"
    ends = [container(pod, "step")["state"]["terminated"] for pod in runs["step-timeout"].pods]
    assert [end["exitCode"] for end in ends] == [0, 0]


def test_what_comes_before_the_program_is_not_part_of_its_timeout(runs: dict[str, Run]) -> None:
    status = runs["slow-start"].ended()
    assert status["phase"] == "Completed", status["message"]
    assert runs["slow-start"].log("Work") == "done\n"


def test_a_program_that_started_late_has_its_whole_timeout_and_keeps_its_log(runs: dict[str, Run]) -> None:
    step = runs["late-and-stuck"].ended()["steps"]["Work"]
    assert step["exitCode"] == 0
    assert 4 <= seconds_between(step["startTime"], step["completionTime"]) < 20
    assert runs["late-and-stuck"].log("Work") == "begun\n"
    (pod,) = runs["late-and-stuck"].pods
    assert pod["status"]["reason"] == "DeadlineExceeded"


def test_a_run_that_takes_too_long_is_ended_with_all_its_pods(runs: dict[str, Run]) -> None:
    status = runs["run-timeout"].ended()
    assert status["message"] == "took longer than its timeout of 20"
    (finished,) = [one for one in status["conditions"] if one["type"] == "Finished"]
    assert finished["reason"] == "TimedOut"
    assert 20 <= seconds_between(status["startTime"], status["completionTime"]) < 30
    assert status["steps"]["Quick"]["phase"] == "Completed"
    eventually(
        lambda: [pod["metadata"]["annotations"]["nightcrawler.dev/step"] for pod in runs["run-timeout"].pods],
        until=lambda steps: steps == ["Quick"],
        what="the end of the Pod that ran too long",
    )


def test_each_attempt_knows_its_number_and_waits_for_its_delay(runs: dict[str, Run]) -> None:
    run = runs["third-time-lucky"]
    status = run.ended()
    assert (status["phase"], status["steps"]["Work"]["attempt"]) == ("Completed", 3)
    assert run.log("Work") == "attempt 3\n"
    ends = [container(pod, "step")["state"]["terminated"] for pod in run.pods]
    assert [end["exitCode"] for end in ends] == [1, 1, 0]
    for last, following in pairwise(ends):
        assert seconds_between(last["finishedAt"], following["startedAt"]) >= 3


def test_a_forbidden_pod_fails_with_the_message_of_the_api_server(here: Installation, elsewhere: str) -> None:
    here.kubectl("label", "namespace", elsewhere, "pod-security.kubernetes.io/enforce=restricted")
    here.apply(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]},
        },
        namespace=elsewhere,
    )
    meek: Manifest = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    modest: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    restricted = {
        "spec": {"securityContext": meek, "containers": [{"name": "step", "securityContext": modest}]}
    }
    runs = here.launch(
        only("careless", command=["true"], resources={"memory": "32Mi"}),
        only("too-large", command=["true"], resources={"memory": "128Mi"}, pod=restricted),
        only("careful", command=["id", "-u"], resources={"memory": "32Mi"}, pod=restricted),
        namespace=elsewhere,
    )
    careless, too_large = runs["careless"].ended(), runs["too-large"].ended()
    for refused in (careless, too_large):
        assert (refused["phase"], refused["steps"]["Work"]["reason"]) == ("Failed", "PodForbidden")
        assert refused["message"].startswith("step 'Work' the cluster refused its Pod: pods ")
    assert (
        'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in careless["message"]
    )
    assert "maximum memory usage per Container is 64Mi, but limit is 128Mi" in too_large["message"]
    assert runs["careful"].ended()["phase"] == "Completed", (
        "what the policies allow runs in the same namespace"
    )
    assert runs["careful"].log("Work") == "1000\n"


def test_a_pod_beyond_the_quota_waits_until_there_is_room(here: Installation, elsewhere: str) -> None:
    quota: Manifest = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"requests.cpu": "100m"}},
    }
    here.apply(quota, namespace=elsewhere)
    # Until it is counted, the API server refuses for another reason.
    counted = r"--for=jsonpath={.status.hard.requests\.cpu}=100m"
    here.kubectl("wait", counted, "resourcequota/team", f"--namespace={elsewhere}", "--timeout=60s")
    run = here.launch(only("over-quota", command=["true"], resources={"cpu": "200m"}), namespace=elsewhere)[
        "over-quota"
    ]
    waits = run.until(lambda status: status.get("message"), "why it waits")
    assert (waits["phase"], waits["steps"]["Work"]["reason"]) == ("Pending", "ExceededQuota")
    assert "exceeded quota: team, requested: requests.cpu=200m" in waits["message"]
    here.kubectl("delete", "resourcequota", "team", f"--namespace={elsewhere}")
    assert run.ended()["phase"] == "Completed"


def test_a_step_that_fits_on_no_node_waits_and_says_so(here: Installation) -> None:
    run = here.launch(only("too-large-for-us", command=["true"], resources={"cpu": 1000}))["too-large-for-us"]
    waits = run.until(lambda status: status.get("message"), "why it waits")
    assert (waits["phase"], waits["waitingReason"]) == ("Pending", "NoNodeLargeEnough")
    assert "step 'Work' waits for a larger node: it asks for 1000 CPU, and " in waits["message"]
    run.cancel()
    assert run.ended()["phase"] == "Cancelled"
    run.without_pods()
    assert json.loads(here.kubectl("get", "wfe", run.name, "-o", "json"))["status"]["message"] == "cancelled"


@pytest.mark.parametrize("greedy", ["out-of-disk", "politely-out-of-disk"])
def test_a_step_that_fills_its_scratch_space_is_out_of_disk(runs: dict[str, Run], greedy: str) -> None:
    # The last test, for the kubelet measures once a minute.
    status = runs[greedy].ended()
    assert status["message"] == (
        'step \'Work\' was evicted: Usage of EmptyDir volume "scratch" exceeds the limit "10M".'
    )
    assert (status["phase"], status["steps"]["Work"]["reason"]) == ("Failed", "OutOfDisk")
