"""What a kubelet's reasons mean: of a container that waits, and of a Pod that its node did not admit.

The reasons are those of Kubernetes 1.35, from `pkg/kubelet`: `images/types.go` and `image_manager.go`
(images), `kuberuntime/kuberuntime_container.go` (the start of a container, in its order), `kubelet_pods.go`
and `kuberuntime/security_context_others.go` (causes of CreateContainerConfigError), `container/
sync_result.go` and `reason_cache.go` (which of these reach a status), cri-api's `errors` (what a runtime says
of a pull). Those of Pods that were not admitted are from `lifecycle/predicate.go` and `handlers.go`,
`cm/admission`, `cm/topologymanager`, `cm/cpumanager`, `sysctl`, `eviction`, `nodeshutdown` and
`volumemanager`, and from the scheduler's filters that a kubelet repeats. `RunContainerError` and its like are
constants; but a reason may also be the text of any error, so one that is in no table has a meaning too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from nightcrawler_crds.kube.nativeviews import Waiting
from nightcrawler_crds.plaintext import one_line
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame


class Grace(Enum):
    """How long a cause may last before the attempt fails; the kubelet tries again meanwhile."""

    NONE = "none"
    """Only another definition helps."""
    CONFIG = "missing_config_grace"
    """What is missing may still be created."""
    PULL = "image_pull_timeout"
    """The registry, the node or the container may recover."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a container does not start. `what` is a format string for {container} and {image}.

    `quotes`: whether the kubelet's message is added, because it says more.
    """

    what: str
    waits: str = conditions.STEP_CANNOT_START_YET
    fails: str = conditions.STEP_CANNOT_START
    grace: Grace = Grace.PULL
    blame: Blame = Blame.DEFINITION
    quotes: bool = True


def _pull(what: str, grace: Grace = Grace.PULL) -> Cause:
    return Cause(what, conditions.STEP_PULLING, conditions.STEP_IMAGE, grace)


def _definition(what: str, *, quotes: bool = False) -> Cause:
    return Cause(what, grace=Grace.NONE, quotes=quotes)


def _node(what: str) -> Cause:
    return Cause(what, fails=conditions.STEP_NODE_FAILED, blame=Blame.INFRASTRUCTURE)


NOT_TRIED: Final = frozenset({"", "ContainerCreating", "PodInitializing", "RestartingAllContainers"})
"""Of a container that the kubelet has not tried to start yet."""
CRASH_LOOP: Final = "CrashLoopBackOff"
"""Of one that has run and is restarted after a back-off; how it ended says why."""

CAUSES: Final[Mapping[str, Cause]] = {
    "InvalidImageName": _pull(
        "the image {image} of {container} cannot be used: correct its name", Grace.NONE
    ),
    "ErrImageNeverPull": _pull(
        "the image {image} of {container} cannot be used: it is not on the node, "
        "and imagePullPolicy: Never keeps it from being pulled",
        Grace.NONE,
    ),
    "ErrImagePull": _pull("the image {image} of {container} cannot be pulled"),
    "ImagePullBackOff": _pull("the image {image} of {container} cannot be pulled"),
    "RegistryUnavailable": _pull("the image {image} of {container} cannot be pulled"),
    "SignatureValidationFailed": _pull(
        "the signature of the image {image} of {container} does not satisfy its node"
    ),
    "ImageInspectError": _pull("the node cannot look at the image {image} of {container}"),
    "CreateContainerConfigError": Cause("{container} cannot be set up"),
    "PreCreateHookError": _node("the node has no devices, CPUs or memory for {container}"),
    "CreateContainerError": Cause("{container} cannot be created"),
    "PreStartHookError": _node("the node has no devices, CPUs or memory for {container}"),
    "RunContainerError": Cause("{container} could not be started"),
    "PostStartHookError": Cause("{container} is ended again, for its postStart hook fails"),
}
"""By the reason of a container that waits."""

MISSING: Final = Cause(
    "{container} names something that is not there",
    conditions.STEP_CONFIG,
    conditions.STEP_CONFIG,
    Grace.CONFIG,
)
"""A Secret, ConfigMap or key of a container, or of a volume."""
_MISSING_OBJECT: Final = re.compile(
    r'(secret|configmap) "[^"]*" not found|couldn\'t find key|not found in file|references non-existent',
    re.IGNORECASE,
)
"""What a kubelet says of these, of a container and of a volume (FailedMount)."""
_BY_MESSAGE: Final[Mapping[str, Sequence[tuple[re.Pattern[str], Cause]]]] = {
    "CreateContainerConfigError": (
        (
            re.compile("breaks non-root policy"),
            _definition(
                "{container} has runAsUser: 0, which is root, and runAsNonRoot: true; change one of them"
            ),
        ),
        (
            re.compile("image will run as root"),
            _definition(
                "{container} has runAsNonRoot: true, and its image {image} runs as root; "
                "set runAsUser to another user's number, or use an image that does not run as root"
            ),
        ),
        (
            re.compile("image has non-numeric user"),
            _definition(
                "{container} has runAsNonRoot: true, and its image {image} gives its user by name, which "
                "cannot be checked; set runAsUser to the user's number"
            ),
        ),
        (
            re.compile("invalid user id"),
            _definition("the image {image} of {container} has a user's number that cannot be; set runAsUser"),
        ),
        (_MISSING_OBJECT, MISSING),
        (
            re.compile("sub[Pp]ath", re.IGNORECASE),
            Cause("a subPath of {container} cannot be mounted"),
        ),
        (
            # The kubelet's caches after its start, or an API server that it cannot reach.
            re.compile("failed to sync|not registered|services have not yet been read|DeadlineExceeded"),
            _node("the node cannot set up {container}"),
        ),
    ),
    "CreateContainerError": (
        (
            re.compile("no command specified"),
            _definition("{container} has no command, and its image {image} has none either; write one"),
        ),
        (
            # A runtime that is overloaded, or still at the last try.
            re.compile("is reserved for|DeadlineExceeded|deadline exceeded|code = Unavailable"),
            _node("the node cannot create {container}"),
        ),
    ),
    "RunContainerError": (
        (
            re.compile("DeadlineExceeded|deadline exceeded|code = Unavailable"),
            _node("the node cannot start {container}"),
        ),
    ),
}
"""What a reason means with such a message; checked in this order, before the reason alone."""

_BACK_OFF: Final = re.compile(r'Back-off pulling image "[^"]*": (\w+): (.*)', re.DOTALL)
"""Between two pulls a kubelet repeats how the last one failed."""


def cause_of(waiting: Waiting) -> tuple[Cause, str] | None:
    """Why a container does not start, and the kubelet's message; None if there is no failure.

    Not for a container that has run and is restarted: how it ended says more.
    """
    reason, message = waiting.reason, one_line(waiting.message)
    if reason in NOT_TRIED or reason == CRASH_LOOP:
        return None
    repeated = _BACK_OFF.match(message) if reason == "ImagePullBackOff" else None
    if repeated is not None:
        reason, message = repeated[1], repeated[2]
    cause = CAUSES.get(reason)
    if cause is None:
        # The text of an error, usually one of the node.
        return _node("{container} does not start"), one_line(f"{reason}: {message}" if message else reason)
    for pattern, special in _BY_MESSAGE.get(reason, ()):
        if pattern.search(message):
            return special, message
    return cause, message or reason


def names_missing_object(message: str) -> bool:
    """Whether a kubelet's message says that a Secret, a ConfigMap or a key does not exist."""
    return _MISSING_OBJECT.search(message) is not None


def sentence_of(cause: Cause, message: str, container: str, image: str) -> str:
    """What is wrong with which container, with the kubelet's message if that says more."""
    what = cause.what.format(container=container, image=repr(one_line(image)))
    return f"{what}: {message}" if cause.quotes and message else what


# --- Pods that their node did not admit -----------------------------------------------------------

_SHORT: Final = "it had not enough {} left"
_UNFIT: Final = "it does not fit the Pod any more"
_UNABLE: Final = "it cannot run such a Pod"

REJECTED: Final[Mapping[str, str]] = {
    "OutOfcpu": _SHORT.format("CPU"),
    "OutOfmemory": _SHORT.format("memory"),
    "OutOfephemeral-storage": _SHORT.format("ephemeral storage"),
    "OutOfpods": _SHORT.format("room for Pods"),
    "VolumeAttachmentLimitExceeded": _SHORT.format("room for volumes"),
    "Evicted": "it was short of a resource",
    "NodeAffinity": _UNFIT,
    "NodeName": _UNFIT,
    "NodePorts": "a port that the Pod asks for is taken there",
    "TaintToleration": _UNFIT,
    "NodeShutdown": "it was being shut down",
    "TopologyAffinityError": "it cannot give the resources from one NUMA node, as its policy demands",
    "SMTAlignmentError": "it gives whole physical cores only; ask for all their threads in resources.cpu",
    "UnexpectedAdmissionError": "it could not set aside devices, CPUs or memory",
    "AppArmor": f"{_UNABLE}: its AppArmor profile is not there",
    "SysctlForbidden": f"{_UNABLE}: a sysctl in its securityContext is not allowed there",
    "PodOSSelectorNodeLabelDoesNotMatch": f"{_UNABLE}: it asks for another operating system",
    "PodOSNotSupported": f"{_UNABLE}: it asks for another operating system",
    "InitContainerRestartPolicyForbidden": f"{_UNABLE}: side-cars are not supported there",
    "SupplementalGroupsPolicyNotSupported": f"{_UNABLE}: supplementalGroupsPolicy is not supported there",
    "PodLevelResourcesNotSupported": f"{_UNABLE}: resources of Pods are not supported there",
    "PodFeatureUnsupported": f"{_UNABLE}: it needs a feature that is off there",
    "InvalidNodeInfo": "its kubelet knew nothing of the node yet",
    "UnknownReason": "its kubelet gave no reason",
    "UnexpectedPredicateFailureType": "its kubelet gave no reason",
}
"""By the reason of a Pod that failed before any container of it was created."""

_OUT_OF: Final = "OutOf"
"""Prefix before the name of an extended resource, for example of GPUs."""
_PREFIX: Final = re.compile(r"^(Pod was rejected: |Pod )(?=[A-Z])")
"""What a kubelet puts before each message."""


def rejection(reason: str, message: str) -> str:
    """Why a node did not admit a Pod, as the end of a sentence that begins with the node."""
    words = _PREFIX.sub("", one_line(message))
    what = REJECTED.get(reason)
    if what is None and reason.startswith(_OUT_OF):
        what = _SHORT.format(one_line(reason.removeprefix(_OUT_OF)))
    if what is None:
        return ": ".join(part for part in (one_line(reason), words) if part) or "no reason given"
    return f"{what}: {words}" if words else what
