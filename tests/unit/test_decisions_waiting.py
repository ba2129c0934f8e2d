"""Why a Pod has not started: what is reported, when to look again, and when it is given up."""

from __future__ import annotations

from typing import Final

import pytest

from nightcrawler_crds.kube.nativeviews import EventView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Waits
from nightcrawler_operator.decisions.pending import Pending
from nightcrawler_operator.decisions.waiting import waiting
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForEvents
from nightcrawler_operator.snapshot import ObservedEvents
from tests.support.snapshots import NODE, PodMaker, a_job, a_pod, an_event, at

JOB_UID: Final = a_job().metadata.uid
POD_UID: Final = a_pod().view.metadata.uid
LIMITS: Final = Limits(queue_timeout=3600, image_pull_timeout=120, missing_config_grace=10, status_window=2)
QUEUE_TIMEOUT: Final = 3600.0

NO_NODE: Final = a_pod().condition(
    "PodScheduled", "False", 0, "Unschedulable", "0/3 nodes are available:\n 3 Insufficient cpu."
)
NO_SECRET: Final = a_pod().waiting("CreateContainerConfigError", 'secret "token" not found')
QUOTA: Final = an_event("FailedCreate", 'pods "x" is forbidden: exceeded quota: team, requested: cpu=9')


def decided(
    pod: PodMaker | None, now: float, *events: EventView, about: str = "", looked_up: float | None = None
) -> Waits | Failed:
    """The decision at a moment; `looked_up` is when Events were last looked up."""
    asked = events or looked_up is not None
    found = {
        about or (POD_UID if pod else JOB_UID): ObservedEvents(
            at(now if looked_up is None else looked_up), events
        )
    }
    return waiting(Pending(a_job(), pod.view if pod else None, at(now), LIMITS, found if asked else {}))


WAITS: Final[dict[str, tuple[PodMaker | None, float, str, str, float]]] = {
    "a Job that was just made": (None, 1, conditions.STEP_NO_POD, "its Job has no Pod yet", 5),
    "a Pod that no node has room for, until the queue timeout": (
        NO_NODE,
        30,
        conditions.STEP_UNSCHEDULABLE,
        "waits for a node: none of 3 will do (3 Insufficient cpu)",
        QUEUE_TIMEOUT,
    ),
    "an image whose pull failed just now": (
        a_pod().waiting("ErrImagePull", "rate limit"),
        30,
        conditions.STEP_PULLING,
        "cannot start yet: the image 'busybox:1' of its container cannot be pulled: rate limit",
        120,
    ),
    "an image whose pull is put off": (
        a_pod().waiting("ImagePullBackOff", ""),
        119,
        conditions.STEP_PULLING,
        "cannot start yet: the image 'busybox:1' of its container cannot be pulled: ImagePullBackOff",
        120,
    ),
    "a container that cannot be created yet": (
        a_pod().waiting("CreateContainerError", "device busy"),
        30,
        conditions.STEP_CANNOT_START_YET,
        "cannot start yet: its container cannot be created: device busy",
        120,
    ),
    "a Secret that may be on its way": (
        NO_SECRET,
        9,
        conditions.STEP_CONFIG,
        'cannot start yet: its container names something that is not there: secret "token" not found',
        10,
    ),
    "a Pod on its node": (
        a_pod().on_node(since=2),
        3,
        conditions.STEP_STARTING,
        f"is being set up on node {NODE}",
        12,
    ),
    "a Pod that no scheduler has looked at, until the queue timeout": (
        a_pod(),
        60,
        conditions.STEP_STARTING,
        "waits for a node",
        QUEUE_TIMEOUT,
    ),
}


@pytest.mark.parametrize(("pod", "now", "reason", "message", "look_at"), WAITS.values(), ids=WAITS)
def test_a_step_waits_for(
    pod: PodMaker | None, now: float, reason: str, message: str, look_at: float
) -> None:
    result = decided(pod, now)

    assert isinstance(result, Waits)
    assert (result.reason, result.message, result.look_at) == (reason, message, at(look_at))


GIVEN_UP: Final[dict[str, tuple[PodMaker, float, str, str]]] = {
    "an image's name that cannot be one, at once": (
        a_pod().waiting("InvalidImageName", "invalid reference format"),
        1,
        conditions.STEP_IMAGE,
        (
            "cannot start: the image 'busybox:1' of its container cannot be used: correct its name: "
            "invalid reference format"
        ),
    ),
    "an image that must not be pulled and is not there, at once": (
        a_pod().waiting("ErrImageNeverPull"),
        1,
        conditions.STEP_IMAGE,
        (
            "cannot start: the image 'busybox:1' of its container cannot be used: it is not on the node, and "
            "imagePullPolicy: Never keeps it from being pulled: ErrImageNeverPull"
        ),
    ),
    "an init container's image, at once": (
        a_pod().waiting("InvalidImageName", "bad", name="fetch", init=True),
        1,
        conditions.STEP_IMAGE,
        (
            "cannot start: the image 'busybox:1' of the init container 'fetch' cannot be used: "
            "correct its name: bad"
        ),
    ),
    "a pull that kept failing": (
        a_pod().waiting("ImagePullBackOff", "not found"),
        120,
        conditions.STEP_IMAGE,
        "cannot start: the image 'busybox:1' of its container cannot be pulled: not found",
    ),
    "a container that never could be created": (
        a_pod().waiting("CreateContainerError", "device busy"),
        120,
        conditions.STEP_CANNOT_START,
        "cannot start: its container cannot be created: device busy",
    ),
    "a Secret that did not come": (
        NO_SECRET,
        10,
        conditions.STEP_CONFIG,
        'cannot start: its container names something that is not there: secret "token" not found',
    ),
    "the queue timeout, with what it waited for": (
        NO_NODE,
        3600,
        conditions.STEP_QUEUE_TIMED_OUT,
        (
            "waited longer than the queue timeout of 3600 s for its Pod to start: "
            "waits for a node: none of 3 will do (3 Insufficient cpu)"
        ),
    ),
}


@pytest.mark.parametrize(("pod", "now", "reason", "message"), GIVEN_UP.values(), ids=GIVEN_UP)
def test_a_step_is_given_up_for(pod: PodMaker, now: float, reason: str, message: str) -> None:
    result = decided(pod, now)

    assert isinstance(result, Failed)
    assert result.blame is Blame.DEFINITION
    assert (result.reason, result.message, result.finished) == (reason, message, at(now))


def test_the_time_for_pulling_begins_when_the_init_containers_are_done() -> None:
    late = a_pod().condition("Initialized", "True", since=300).waiting("ErrImagePull", "no route")

    result = decided(late, 400)

    assert isinstance(result, Waits)
    assert result.look_at == at(420)


def test_a_short_wait_is_not_reported() -> None:
    result = decided(NO_NODE, 1)

    assert isinstance(result, Waits)
    assert result.show_at == at(2)


def test_the_events_of_a_job_without_a_pod_are_read_after_five_seconds() -> None:
    early, late = decided(None, 4.9), decided(None, 5)

    assert isinstance(early, Waits)
    assert isinstance(late, Waits)
    assert (early.lookups, late.lookups) == ((), (LookForEvents(JOB_UID, "Job"),))


def test_the_events_of_a_pod_that_starts_slowly_are_read() -> None:
    early, late = decided(a_pod().on_node(), 9), decided(a_pod().on_node(), 10)

    assert isinstance(early, Waits)
    assert isinstance(late, Waits)
    assert (early.lookups, late.lookups) == ((), (LookForEvents(POD_UID, "Pod"),))


ASKED: Final[dict[str, tuple[float, float, bool]]] = {
    "not before five more seconds": (5, 9.9, False),
    "after five more seconds": (5, 10, True),
    "after as long again as it has waited": (20, 39, False),
    "then": (20, 40, True),
    "at least once a minute": (600, 660, True),
    "but no more than that": (600, 659, False),
}


@pytest.mark.parametrize(("looked_up", "now", "asks"), ASKED.values(), ids=ASKED)
def test_events_are_read_again_with_back_off(looked_up: float, now: float, asks: bool) -> None:
    result = decided(None, now, looked_up=looked_up)

    assert isinstance(result, Waits)
    assert bool(result.lookups) is asks
    assert asks or (result.look_at is not None and result.look_at > at(now))


def test_a_full_quota_is_waited_for_and_its_events_are_read_again() -> None:
    early, late = decided(None, 101, QUOTA, looked_up=100), decided(None, 160, QUOTA, looked_up=100)

    assert isinstance(early, Waits)
    assert isinstance(late, Waits)
    assert early.reason == conditions.STEP_QUOTA
    assert "exceeded quota: team" in early.message
    assert (early.look_at, early.lookups) == (at(160), ())
    assert late.lookups == (LookForEvents(JOB_UID, "Job"),)


def test_a_pod_that_the_cluster_refuses_fails_with_its_message() -> None:
    newer = an_event("FailedCreate", "pods is forbidden: violates PodSecurity", 7)

    result = decided(None, 8, QUOTA, newer)

    assert isinstance(result, Failed)
    assert result.reason == conditions.STEP_FORBIDDEN
    assert result.message == "the cluster refused its Pod: pods is forbidden: violates PodSecurity"


def test_an_event_names_the_missing_secret_of_a_volume() -> None:
    mount = an_event("FailedMount", 'MountVolume.SetUp failed: secret "data" not found')

    early, late = decided(a_pod().on_node(), 9, mount), decided(a_pod().on_node(), 10, mount)

    assert isinstance(early, Waits)
    assert isinstance(late, Failed)
    assert (early.reason, late.reason) == (conditions.STEP_CONFIG, conditions.STEP_CONFIG)
    assert 'secret "data" not found' in late.message


def test_a_slow_volume_is_no_missing_secret() -> None:
    mount = an_event("FailedMount", "Unable to attach: timed out waiting for the condition")

    result = decided(a_pod().on_node(), 60, mount)

    assert isinstance(result, Waits)
    assert (result.reason, result.message) == (
        conditions.STEP_CANNOT_START_YET,
        f"cannot start yet: node {NODE} cannot set its Pod up: {mount.message}",
    )


def test_an_event_about_another_object_is_ignored() -> None:
    result = decided(None, 6, an_event("FailedCreate", "forbidden"), about="somebody-else")

    assert isinstance(result, Waits)


def test_an_old_failure_to_mount_does_not_count_once_the_volumes_are_there() -> None:
    mount = an_event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "token" not found', 5)
    ready = a_pod().on_node().condition("PodReadyToStartContainers", "True", 12)
    assert isinstance(decided(a_pod().on_node(), 25, mount), Failed)
    assert isinstance(decided(ready, 25, mount), Waits)


def test_a_driver_that_is_not_found_yet_is_waited_for() -> None:
    driver = an_event("FailedMount", "driver name x.csi not found in the list of registered CSI drivers", 5)
    assert isinstance(decided(a_pod().on_node(), 500, driver), Waits)
