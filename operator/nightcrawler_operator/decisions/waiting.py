"""Why the Pod of an attempt has not started, and whether it ever will.

Rules in order, as in `ending`: the first that has something to say is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nightcrawler_crds.kube.views import EventView, JobView, PodView, Waiting
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.pods import pod_condition
from nightcrawler_operator.decisions.verdict import Blame, Failed, Waits
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.outcomes import LookForEvents, OldObject
from nightcrawler_operator.snapshot import Refusal, Told

POD_EXPECTED: Final = timedelta(seconds=5)
"""The Job controller makes a Job's Pod at once; after this long, an Event says why it does not."""
_ASK_MOST: Final = timedelta(seconds=60)
_STARTING_SHOWN: Final = timedelta(seconds=10)
"""That a Pod is being set up is worth a write only when it takes long."""

_NOT_THERE: Final = re.compile(r'(secret|configmap) "[^"]*" not found|references non-existent')
"""What FailedMount says of a volume's Secret, ConfigMap or key; its other failures may pass."""

_IMAGE_WRONG: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_IMAGE_FAILS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
)
_CONFIG_MISSING: Final = frozenset({"CreateContainerConfigError"})
_CREATE_FAILS: Final = frozenset({"CreateContainerError", "CreatePodSandboxError"})


@dataclass(frozen=True, slots=True)
class Pending:
    """A Job whose Pod has not started, as the rules look at it."""

    job: JobView
    pod: PodView | None
    now: datetime
    limits: Limits
    events: Mapping[str, Told]
    has_run: bool = False
    refusal: Refusal | None = None

    @property
    def created(self) -> datetime:
        """When the attempt's Job was made."""
        return self.job.metadata.creation_timestamp or self.now

    @property
    def show_at(self) -> datetime:
        """Short waits are not written down."""
        return self.created + timedelta(seconds=self.limits.status_window)

    def wait(self, reason: str, message: str, look_at: datetime | None = None) -> Waits:
        """It waits; look again at the given time, or at the latest when the queue timeout is over."""
        over = self.created + timedelta(seconds=self.limits.queue_timeout)
        return Waits(reason, message, self.show_at, min(look_at or over, over))

    def ask_at(self, uid: str, first: datetime) -> datetime:
        """When to ask for Events about an object: from `first` on, ever more seldom, then once a minute."""
        told = self.events.get(uid)
        if told is None:
            return first
        return told.at + min(max(told.at - self.created, POD_EXPECTED), _ASK_MOST)

    def ask(self, uid: str, kind: str, ask_at: datetime) -> tuple[LookForEvents, ...]:
        """The look-up, if it is time for it."""
        return (LookForEvents(uid, kind),) if self.now >= ask_at else ()


Rule = Callable[[Pending], Waits | Failed | None]


def waiting(pending: Pending) -> Waits | Failed:
    """Why this attempt has not started."""
    for rule in RULES:
        result = rule(pending)
        if result is not None:
            return result
    raise AssertionError("the last rule always answers")


def _pod_lost(p: Pending) -> Waits | Failed | None:
    """It ran, and its Pod is gone: its Job says so within a second or two, if it is not ours to judge."""
    if not p.has_run or p.pod is not None or p.job.managed:
        return None
    message = "lost its Pod; its Job has not told of it yet"
    # The queue timeout does not bound this wait: the step has run.
    return Waits(conditions.STEP_NO_POD, message, p.show_at, p.now + POD_EXPECTED)


def _queue_timeout(p: Pending) -> Waits | Failed | None:
    limit = timedelta(seconds=p.limits.queue_timeout)
    if p.has_run or p.now < p.created + limit:
        return None
    found = next((r for rule in RULES[2:] if isinstance(r := rule(p), Waits)), None)
    why = f": {found.message}" if found else ""
    message = (
        f"waited longer than the queue timeout of {p.limits.queue_timeout:g} s for its Pod to start{why}"
    )
    return Failed(Blame.DEFINITION, conditions.STEP_TIMED_OUT, message, p.now)


def _pod_to_make(p: Pending) -> Waits | Failed | None:
    """The Pod is ours to make: it was refused, for good or not, or nobody has got to it yet."""
    if p.pod is not None or not p.job.managed:
        return None
    if p.job.spec.suspend:
        return p.wait(conditions.STEP_NO_POD, "waits, for its Job is suspended")
    if p.job.metadata.deletion_timestamp is not None:
        return p.wait(conditions.STEP_NO_POD, "has no Pod, and its Job is being deleted")
    refusal = p.refusal
    if refusal is None or (refusal.ask_again is not None and p.now >= refusal.ask_again):
        meta = p.job.metadata
        wait = p.wait(conditions.STEP_NO_POD, "its Job has no Pod yet")
        missing = OldObject(meta.name, meta.uid)
        return replace(wait, show_at=p.created + _STARTING_SHOWN, missing_pod=missing)
    if refusal.ask_again is not None:
        reason = conditions.STEP_QUOTA if "quota" in refusal.message else conditions.STEP_LAST_POD
        return p.wait(reason, _clean(refusal.message), refusal.ask_again)
    return _refused(p, refusal.message)


def _no_pod(p: Pending) -> Waits | Failed | None:
    if p.pod is not None:
        return None
    uid = p.job.metadata.uid
    failure = _newest(p, uid, "FailedCreate")
    if failure is None:
        ask_at = p.ask_at(uid, p.created + POD_EXPECTED)
        wait = p.wait(conditions.STEP_NO_POD, "its Job has no Pod yet", ask_at)
        return replace(wait, show_at=p.created + _STARTING_SHOWN, lookups=p.ask(uid, "Job", ask_at))
    # Matched by its text, for quota has no reason of its own in the Event.
    if "exceeded quota" in failure.message:
        ask_at = p.ask_at(uid, p.now)
        wait = p.wait(conditions.STEP_QUOTA, _clean(failure.message), ask_at)
        return replace(wait, lookups=p.ask(uid, "Job", ask_at))
    return _refused(p, failure.message)


def _refused(p: Pending, why: str) -> Failed:
    message = f"the cluster refused its Pod: {_clean(why)}"
    return Failed(Blame.DEFINITION, conditions.STEP_FORBIDDEN, message, p.now)


def _unschedulable(p: Pending) -> Waits | Failed | None:
    assert p.pod is not None
    scheduled = pod_condition(p.pod, "PodScheduled")
    if scheduled is None or scheduled.status == "True" or p.pod.spec.node_name:
        return None
    return p.wait(conditions.STEP_UNSCHEDULABLE, f"waits for a node: {_clean(scheduled.message)}")


def _image(p: Pending) -> Waits | Failed | None:
    for image, state in _waiting_containers(p):
        if state.reason in _IMAGE_WRONG:
            message = f"the image {image!r} cannot be used: {_clean(state.message) or state.reason}"
            return Failed(Blame.DEFINITION, conditions.STEP_IMAGE, message, p.now)
        if state.reason in _IMAGE_FAILS or state.reason in _CREATE_FAILS:
            patience = timedelta(seconds=p.limits.image_pull_timeout)
            pulls = state.reason in _IMAGE_FAILS
            what = f"the image {image!r} cannot be pulled" if pulls else "its container cannot be created"
            message = f"{what}: {_clean(state.message) or state.reason}"
            if p.now < _set_up_since(p) + patience:
                return p.wait(
                    conditions.STEP_PULLING if pulls else conditions.STEP_STARTING,
                    message,
                    _set_up_since(p) + patience,
                )
            reason = conditions.STEP_IMAGE if pulls else conditions.STEP_CANNOT_START
            return Failed(Blame.DEFINITION, reason, message, p.now)
    return None


def _missing_config(p: Pending) -> Waits | Failed | None:
    for _image_name, state in _waiting_containers(p):
        if state.reason in _CONFIG_MISSING:
            return _missing(p, _clean(state.message))
    assert p.pod is not None
    sandbox = pod_condition(p.pod, "PodReadyToStartContainers")
    if sandbox is not None and sandbox.status == "True":
        return None  # volumes come before the sandbox: what was missing has been found
    mount = _newest(p, p.pod.metadata.uid, "FailedMount")
    if mount is not None and _NOT_THERE.search(mount.message):
        return _missing(p, _clean(mount.message))
    return None


def _missing(p: Pending, what: str) -> Waits | Failed:
    until = _set_up_since(p) + timedelta(seconds=p.limits.missing_config_grace)
    if p.now < until:
        return p.wait(conditions.STEP_CONFIG, f"waits for what it names: {what}", until)
    message = f"names something that is not there: {what}"
    return Failed(Blame.DEFINITION, conditions.STEP_CONFIG, message, p.now)


def _starting(p: Pending) -> Waits | Failed | None:
    """Set up by its node, as far as is known: ask for Events if that takes long."""
    assert p.pod is not None
    node, uid = p.pod.spec.node_name, p.pod.metadata.uid
    message = f"is being set up on node {node}" if node else "waits for a node"
    grace = timedelta(seconds=p.limits.missing_config_grace)
    # Without a node there is nothing to ask; that it gets one is told.
    ask_at = p.ask_at(uid, _set_up_since(p) + grace) if node else None
    wait = p.wait(conditions.STEP_STARTING, message, ask_at)
    lookups = p.ask(uid, "Pod", ask_at) if ask_at else ()
    return replace(wait, show_at=p.created + _STARTING_SHOWN, lookups=lookups)


RULES: Final[Sequence[Rule]] = (
    _pod_lost,  # before what is only about beginnings
    _queue_timeout,  # then, for it bounds every wait below
    _pod_to_make,
    _no_pod,  # those below may rely on there being a Pod
    _unschedulable,
    _image,
    _missing_config,
    _starting,
)


def _waiting_containers(p: Pending) -> Sequence[tuple[str, Waiting]]:
    assert p.pod is not None
    status = p.pod.status
    return [
        (container.image, container.state.waiting)
        for container in (*status.init_container_statuses, *status.container_statuses)
        if container.state.waiting is not None
    ]


def _set_up_since(p: Pending) -> datetime:
    """Since when the node works on what is waited for: init containers before it may take their time."""
    assert p.pod is not None
    since = p.pod.status.start_time or p.created
    for kind in ("Initialized", "PodReadyToStartContainers"):
        reached = pod_condition(p.pod, kind)
        if reached is not None and reached.status == "True" and reached.last_transition_time:
            since = max(since, reached.last_transition_time)
    return since


def _newest(p: Pending, uid: str, reason: str) -> EventView | None:
    told = p.events.get(uid)
    of_reason = [event for event in told.events if event.reason == reason] if told else []
    return max(of_reason, key=lambda event: str(event.last_timestamp or event.event_time), default=None)


def _clean(text: str) -> str:
    return " ".join(text.split())[:500]
