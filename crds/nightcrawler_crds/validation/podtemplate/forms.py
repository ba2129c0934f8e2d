"""Forms of strings in a podTemplate: Kubernetes' names, and names that are reserved."""

from __future__ import annotations

import re
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.validation.podtemplate.grammar import Form, MapOf, Object, Text

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VARIABLE: Final = re.compile(r"[ -<>-~]+")
_PORT: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
QUANTITY: Final = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?\d+)?", re.ASCII)

_OUR_LABELS: Final = ("job-name", "controller-uid")
"""The Job controller's old labels, without a prefix."""
_OUR_PREFIXES: Final = (f"{names.GROUP}/", "batch.kubernetes.io/")
_CLUSTERS_PREFIXES: Final = ("kubernetes.io/config.", "container.apparmor.security.beta.kubernetes.io/")
"""Annotations that make a Pod look like the kubelet's own, or disable AppArmor."""
_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return bool(_WORD.fullmatch(name)) and (not slash or _is_subdomain(prefix))


def _is_subdomain(name: str) -> bool:
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


DNS_LABEL: Final = Form(
    lambda text: _LABEL.fullmatch(text) is not None,
    "must have lower-case letters, digits and, between them, dashes; at most 63 characters",
)
DNS_NAME: Final = Form(
    _is_subdomain, "must have lower-case letters, digits and, between them, dashes and dots"
)
LABEL_VALUE: Final = Form(
    lambda text: text == "" or _WORD.fullmatch(text) is not None,
    "must be at most 63 letters, digits and, between them, dashes, dots and underscores",
)
QUALIFIED: Final = Form(
    _is_qualified,
    "is no name of a label: it must be like 'team' or 'example.com/team', of at most 63 characters",
)
RESOURCE: Final = Form(
    lambda key: key in _RESOURCES or key.startswith("hugepages-") or ("/" in key and _is_qualified(key)),
    f"is no resource: use {', '.join(_RESOURCES)}, or one such as {names.GPU_RESOURCE}",
)
STORAGE: Final = Form(lambda key: key == "storage", "is no resource of a claim: use storage")
ANNOTATION: Final = Form(
    lambda key: _is_qualified(key.lower()),
    "is no name of an annotation: it must be like 'note' or 'example.com/note', of at most 63 characters",
)
NOT_OUR_LABEL: Final = Form(
    lambda key: not key.startswith(_OUR_PREFIXES) and key not in _OUR_LABELS,
    "is Nightcrawler's own and cannot be set: leave it out",
)
NOT_OUR_ANNOTATION: Final = Form(
    lambda key: not key.startswith(_OUR_PREFIXES), "is Nightcrawler's own and cannot be set: leave it out"
)
NOT_THE_CLUSTERS: Final = Form(
    lambda key: not key.startswith(_CLUSTERS_PREFIXES), "is the cluster's own and cannot be set: leave it out"
)
NOT_OURS: Final = Form(
    lambda name: not name.startswith(names.RESERVED_PREFIX),
    f"cannot be used: names that begin with '{names.RESERVED_PREFIX}' are Nightcrawler's own; "
    "take another one",
)
NOT_THE_STEP: Final = Form(
    lambda name: name != names.STEP_CONTAINER,
    f"cannot be named {names.STEP_CONTAINER!r}, for that is the step's own container; take another name",
)
VARIABLE: Final = Form(
    lambda name: _VARIABLE.fullmatch(name) is not None,
    "must have printable ASCII characters other than = only",
)
PREFIX: Final = Form(
    lambda text: text == "" or VARIABLE.fits(text), "must have printable ASCII characters other than = only"
)
PORT_NAME: Final = Form(
    lambda name: (
        len(name) <= 15 and _PORT.fullmatch(name) is not None and "--" not in name and not name.isdigit()
    ),
    "must be the name of a port: at most 15 lower-case letters, digits and, between them, dashes",
)
PATH: Final = Form(
    lambda path: path != "" and ":" not in path, "must be a path that is not empty and has no colon in it"
)
RELATIVE: Final = Form(
    lambda path: not path.startswith("/") and ".." not in path.split("/"),
    "must be a path within the volume: without / at its beginning and without ..",
)
FILLED: Final = Form(lambda text: text.strip() != "", "must not be empty")

NAME: Final = Text((DNS_NAME,))
LABEL: Final = Text((DNS_LABEL,))
SOME: Final = Text((FILLED,))
SECRET: Final = Text((DNS_NAME, NOT_OURS))
"""The name of a Secret that does not belong to the installation."""
CLAIM: Final = Text((DNS_NAME, NOT_OURS))
"""The name of a claim that does not belong to the installation."""
LABELS: Final = MapOf(Text((LABEL_VALUE,)), (QUALIFIED, NOT_OUR_LABEL))
ANNOTATIONS: Final = MapOf(Text(), (ANNOTATION, NOT_OUR_ANNOTATION, NOT_THE_CLUSTERS))
NODE_LABELS: Final = MapOf(Text((LABEL_VALUE,)), (QUALIFIED,))

_CHOSEN_BY_US: Final = "it is Nightcrawler's to choose: leave it out"

METADATA: Final = Object(
    {"labels": LABELS, "annotations": ANNOTATIONS},
    refused=dict.fromkeys(
        (
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "managedFields",
            "name",
            "namespace",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        ),
        _CHOSEN_BY_US,
    ),
)
"""Metadata of Pods, and of the claims of ephemeral volumes."""
