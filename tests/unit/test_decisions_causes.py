"""What a kubelet's reasons mean: each has a row, and a sentence that names the container."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.nativeviews import Waiting
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_operator.decisions.attempt_state import Blame
from nightcrawler_operator.decisions.causes import (
    CAUSES,
    NOT_TRIED,
    REJECTED,
    Grace,
    cause_of,
    rejection,
    sentence_of,
)

NOW, SOON, LATER = Grace.NONE, Grace.CONFIG, Grace.PULL
DEFINITION, INFRASTRUCTURE = Blame.DEFINITION, Blame.INFRASTRUCTURE
START, NODE = conditions.STEP_CANNOT_START, conditions.STEP_NODE_FAILED
IMAGE, CONFIG = conditions.STEP_IMAGE, conditions.STEP_CONFIG
ROOT: Final = 'container has runAsNonRoot and image will run as root (pod: "p", container: c)'

ROWS: Final[dict[tuple[str, str], tuple[Grace, Blame, str, str]]] = {
    ("InvalidImageName", "bad"): (NOW, DEFINITION, IMAGE, "correct its name: bad"),
    ("ErrImageNeverPull", "absent"): (NOW, DEFINITION, IMAGE, "imagePullPolicy: Never keeps it"),
    ("ErrImagePull", "no route"): (LATER, DEFINITION, IMAGE, "cannot be pulled: no route"),
    ("ImagePullBackOff", 'Back-off pulling image "x"'): (LATER, DEFINITION, IMAGE, "cannot be pulled: Back"),
    ("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: no route'): (
        LATER,
        DEFINITION,
        IMAGE,
        "cannot be pulled: no route",
    ),
    ("ImagePullBackOff", 'Back-off pulling image "x": SignatureValidationFailed: unsigned'): (
        LATER,
        DEFINITION,
        IMAGE,
        "does not satisfy its node: unsigned",
    ),
    ("RegistryUnavailable", "503"): (LATER, DEFINITION, IMAGE, "cannot be pulled: 503"),
    ("SignatureValidationFailed", "unsigned"): (LATER, DEFINITION, IMAGE, "does not satisfy its node"),
    ("ImageInspectError", "io"): (LATER, DEFINITION, IMAGE, "the node cannot look at the image"),
    ("CreateContainerConfigError", 'secret "token" not found'): (
        SOON,
        DEFINITION,
        CONFIG,
        'is not there: secret "token" not found',
    ),
    ("CreateContainerConfigError", "couldn't find key k in ConfigMap team/c"): (
        SOON,
        DEFINITION,
        CONFIG,
        "is not there: couldn't find key",
    ),
    ("CreateContainerConfigError", ROOT): (NOW, DEFINITION, START, "runs as root; set runAsUser"),
    ("CreateContainerConfigError", "container's runAsUser breaks non-root policy (pod: p)"): (
        NOW,
        DEFINITION,
        START,
        "runAsUser: 0, which is root",
    ),
    ("CreateContainerConfigError", "image has non-numeric user (app), cannot verify"): (
        NOW,
        DEFINITION,
        START,
        "gives its user by name",
    ),
    ("CreateContainerConfigError", "and image has an invalid user id (-1)"): (
        NOW,
        DEFINITION,
        START,
        "a user's number that cannot be",
    ),
    ("CreateContainerConfigError", 'failed to prepare subPath for volumeMount "v"'): (
        LATER,
        DEFINITION,
        START,
        "a subPath of",
    ),
    ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"): (
        LATER,
        INFRASTRUCTURE,
        NODE,
        "the node cannot set up",
    ),
    ("CreateContainerConfigError", "services have not yet been read at least once"): (
        LATER,
        INFRASTRUCTURE,
        NODE,
        "the node cannot set up",
    ),
    ("CreateContainerConfigError", "anything else"): (LATER, DEFINITION, START, "set up: anything else"),
    ("PreCreateHookError", "x"): (LATER, INFRASTRUCTURE, NODE, "no devices, CPUs or memory for"),
    ("CreateContainerError", "no command specified"): (NOW, DEFINITION, START, "has no command"),
    ("CreateContainerError", 'name "x" is reserved for "y"'): (LATER, INFRASTRUCTURE, NODE, "cannot create"),
    ("CreateContainerError", "device busy"): (LATER, DEFINITION, START, "be created: device busy"),
    ("PreStartHookError", "x"): (LATER, INFRASTRUCTURE, NODE, "no devices, CPUs or memory for"),
    ("RunContainerError", "no such file"): (LATER, DEFINITION, START, "be started: no such file"),
    ("RunContainerError", "context deadline exceeded"): (LATER, INFRASTRUCTURE, NODE, "cannot start"),
    ("PostStartHookError", "exited with 1"): (LATER, DEFINITION, START, "its postStart hook fails: exited"),
    ("SomethingNew", "x"): (LATER, INFRASTRUCTURE, NODE, "does not start: SomethingNew: x"),
    ("open /var/lib/kubelet: no space left", ""): (LATER, INFRASTRUCTURE, NODE, "no space left"),
}
"""By reason and message: the grace, who is to blame, the reason of the step, and a part of the sentence."""


@pytest.mark.parametrize(("waiting", "row"), ROWS.items(), ids=[f"{r}: {m[:40]}" for r, m in ROWS])
def test_a_reason_means(waiting: tuple[str, str], row: tuple[Grace, Blame, str, str]) -> None:
    found = cause_of(Waiting(*waiting))

    assert found is not None
    cause, said = found
    sentence = sentence_of(cause, said, "the side-car 'proxy'", "busybox:1")
    grace, blame, fails, part = row
    assert (cause.grace, cause.blame, cause.fails) == (grace, blame, fails)
    assert part in sentence
    assert "the side-car 'proxy'" in sentence


def test_every_row_is_tested() -> None:
    assert set(CAUSES) <= {reason for reason, _ in ROWS}


def test_reasons_that_a_container_status_never_has_are_not_listed() -> None:
    never = {"CreatePodSandboxError", "ConfigPodSandboxError", "KillContainerError", "KillPodSandboxError"}
    assert not never & set(CAUSES)


@pytest.mark.parametrize("reason", sorted(NOT_TRIED | {"CrashLoopBackOff"}))
def test_a_container_that_is_starting_or_crashed_has_no_waiting_cause(reason: str) -> None:
    assert cause_of(Waiting(reason, "x")) is None


@given(st.text(), st.text())
def test_any_reason_has_a_sentence_of_one_plain_line(reason: str, message: str) -> None:
    found = cause_of(Waiting(reason, message))
    if found is not None:
        sentence = sentence_of(*found, "its container", message)
        assert "its container" in sentence
        assert sentence.isprintable() or not set(sentence) & set("\n\r\x1b\x9b\x07")


KUBELET_REJECTS: Final = frozenset(
    {
        "OutOfcpu",
        "OutOfmemory",
        "OutOfephemeral-storage",
        "OutOfpods",
        "NodeAffinity",
        "NodeName",
        "NodePorts",
        "TaintToleration",
        "Evicted",
        "NodeShutdown",
        "TopologyAffinityError",
        "SMTAlignmentError",
        "UnexpectedAdmissionError",
        "AppArmor",
        "SysctlForbidden",
        "PodOSSelectorNodeLabelDoesNotMatch",
        "PodOSNotSupported",
        "InitContainerRestartPolicyForbidden",
        "SupplementalGroupsPolicyNotSupported",
        "PodLevelResourcesNotSupported",
        "PodFeatureUnsupported",
        "InvalidNodeInfo",
        "UnknownReason",
        "UnexpectedPredicateFailureType",
        "VolumeAttachmentLimitExceeded",
    }
)


def test_every_refusal_of_a_kubelet_has_a_sentence() -> None:
    assert set(REJECTED) == KUBELET_REJECTS


@pytest.mark.parametrize("reason", sorted(KUBELET_REJECTS))
def test_a_refusal_has_a_sentence_about_the_node(reason: str) -> None:
    assert rejection(reason, "Pod was rejected: Its words") == f"{REJECTED[reason]}: Its words"
    assert rejection(reason, "") == REJECTED[reason]
    assert REJECTED[reason].startswith(("it", "its", "a port"))


@pytest.mark.parametrize(
    ("reason", "message", "sentence"),
    [
        ("OutOfnvidia.com/gpu", "", "it had not enough nvidia.com/gpu left"),
        ("SomethingNew", "its words", "SomethingNew: its words"),
        ("", "Pod was rejected: Its words", "Its words"),
        ("", "", "no reason given"),
    ],
)
def test_an_unknown_refusal_is_reported_too(reason: str, message: str, sentence: str) -> None:
    assert rejection(reason, message) == sentence
