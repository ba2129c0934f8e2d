"""Every field that a podTemplate may set, and those that it may not, each with the reason.

Every field of Kubernetes 1.35 is one or the other; a test compares them with the API server's OpenAPI
document. Fields that Kubernetes 1.32, the oldest supported version, drops silently are not allowed: a field
without effect is as bad as a misspelt one.
"""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.validation.podtemplate.containers import INIT_CONTAINER, STEP_CONTAINER
from nightcrawler_crds.validation.podtemplate.forms import (
    DNS_LABEL,
    LABEL_VALUE,
    METADATA,
    NAME,
    NODE_LABELS,
    QUALIFIED,
    SECRET,
    SOME,
)
from nightcrawler_crds.validation.podtemplate.grammar import (
    FLAG,
    TEXT,
    WHOLE_64,
    Choice,
    Flag,
    Guarded,
    ListOf,
    MapOf,
    Number,
    Object,
    Text,
)
from nightcrawler_crds.validation.podtemplate.policy import Power
from nightcrawler_crds.validation.podtemplate.security import POD_SECURITY_CONTEXT
from nightcrawler_crds.validation.podtemplate.volumes import VOLUMES

# --- scheduling --------------------------------------------------------------------------------------

_KEY: Final = Text((QUALIFIED,))
_NODE_REQUIREMENT: Final = Object(
    {
        "key": _KEY,
        "operator": Choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")),
        "values": ListOf(Text((LABEL_VALUE,))),
    },
    required=("key", "operator"),
)
_NODE_FIELD: Final = Object(
    {
        "key": Choice(("metadata.name",)),
        "operator": Choice(("In", "NotIn")),
        "values": ListOf(NAME, least=1, most=1),
    },
    required=("key", "operator", "values"),
)
_NODE_TERM: Final = Object(
    {"matchExpressions": ListOf(_NODE_REQUIREMENT), "matchFields": ListOf(_NODE_FIELD)}
)
_SELECTOR: Final = Object(
    {
        "matchLabels": MapOf(Text((LABEL_VALUE,)), (QUALIFIED,)),
        "matchExpressions": ListOf(
            Object(
                {
                    "key": _KEY,
                    "operator": Choice(("In", "NotIn", "Exists", "DoesNotExist")),
                    "values": ListOf(Text((LABEL_VALUE,))),
                },
                required=("key", "operator"),
            )
        ),
    }
)
_POD_TERM: Final = Object(
    {
        "labelSelector": _SELECTOR,
        "namespaceSelector": _SELECTOR,
        "namespaces": ListOf(NAME),
        "topologyKey": _KEY,
        "matchLabelKeys": ListOf(_KEY),
        "mismatchLabelKeys": ListOf(_KEY),
    },
    required=("topologyKey",),
)
_WEIGHT: Final = Number(1, 100)
_POD_AFFINITY: Final = Object(
    {
        "requiredDuringSchedulingIgnoredDuringExecution": ListOf(_POD_TERM),
        "preferredDuringSchedulingIgnoredDuringExecution": ListOf(
            Object({"weight": _WEIGHT, "podAffinityTerm": _POD_TERM}, required=("weight", "podAffinityTerm"))
        ),
    }
)
_AFFINITY: Final = Object(
    {
        "nodeAffinity": Object(
            {
                "requiredDuringSchedulingIgnoredDuringExecution": Object(
                    {"nodeSelectorTerms": ListOf(_NODE_TERM, least=1)}, required=("nodeSelectorTerms",)
                ),
                "preferredDuringSchedulingIgnoredDuringExecution": ListOf(
                    Object({"weight": _WEIGHT, "preference": _NODE_TERM}, required=("weight", "preference"))
                ),
            }
        ),
        "podAffinity": _POD_AFFINITY,
        "podAntiAffinity": _POD_AFFINITY,
    }
)
_TOLERATION: Final = Object(
    {
        "key": _KEY,
        "operator": Choice(("Exists", "Equal")),
        "value": Text((LABEL_VALUE,)),
        "effect": Choice(("", "NoSchedule", "PreferNoSchedule", "NoExecute")),
        "tolerationSeconds": Number(-(2**63), 2**63 - 1),
    }
)
_NODE_INCLUSION: Final = Choice(("Honor", "Ignore"))
_SPREAD: Final = Object(
    {
        "maxSkew": Number(1),
        "topologyKey": _KEY,
        "whenUnsatisfiable": Choice(("DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": _SELECTOR,
        "matchLabelKeys": ListOf(_KEY),
        "minDomains": Number(1),
        "nodeAffinityPolicy": _NODE_INCLUSION,
        "nodeTaintsPolicy": _NODE_INCLUSION,
    },
    required=("maxSkew", "topologyKey", "whenUnsatisfiable"),
)
_PLACE: Final[dict[str, Any]] = {
    "affinity": _AFFINITY,
    "nodeName": Guarded(Power.NODE_NAME, NAME),
    "nodeSelector": NODE_LABELS,
    "priorityClassName": Guarded(Power.PRIORITY_CLASS, NAME),
    "runtimeClassName": NAME,
    "schedulerName": Guarded(Power.SCHEDULER_NAME, NAME),
    "tolerations": ListOf(_TOLERATION),
    "topologySpreadConstraints": ListOf(_SPREAD, key={"topologyKey": None, "whenUnsatisfiable": None}),
}

# --- network and names -------------------------------------------------------------------------------

_NETWORK: Final[dict[str, Any]] = {
    "dnsConfig": Object(
        {
            "nameservers": ListOf(SOME),
            "searches": ListOf(SOME),
            "options": ListOf(Object({"name": SOME, "value": TEXT}, required=("name",))),
        }
    ),
    "dnsPolicy": Choice(("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")),
    "enableServiceLinks": FLAG,
    "hostAliases": ListOf(
        Object({"ip": SOME, "hostnames": ListOf(NAME)}, required=("ip",)), key={"ip": None}
    ),
    "hostIPC": Flag(Power.HOST_NAMESPACES),
    "hostNetwork": Flag(Power.HOST_NAMESPACES),
    "hostPID": Flag(Power.HOST_NAMESPACES),
    "hostUsers": Guarded(Power.HOST_USERS, FLAG),
    "hostname": Text((DNS_LABEL,)),
    "setHostnameAsFQDN": FLAG,
    "subdomain": Text((DNS_LABEL,)),
}

# --- the Pod -----------------------------------------------------------------------------------------

_SPEC: Final = Object(
    {
        **_PLACE,
        **_NETWORK,
        "automountServiceAccountToken": Flag(Power.SERVICE_ACCOUNT),
        "containers": ListOf(STEP_CONTAINER, key={"name": None}),
        "imagePullSecrets": ListOf(Object({"name": SECRET}, required=("name",)), key={"name": None}),
        "initContainers": ListOf(INIT_CONTAINER, key={"name": None}),
        "securityContext": POD_SECURITY_CONTEXT,
        "serviceAccount": Guarded(Power.SERVICE_ACCOUNT, NAME),
        "serviceAccountName": Guarded(Power.SERVICE_ACCOUNT, NAME),
        "shareProcessNamespace": FLAG,  # only between the containers of the Pod
        "terminationGracePeriodSeconds": WHOLE_64,
        "volumes": VOLUMES,
    },
    refused={
        "activeDeadlineSeconds": "use timeout of the step",
        "ephemeralContainers": "they can only be added to a Pod that runs: use initContainers",
        "hostnameOverride": "older Kubernetes drops it silently: use hostname",
        "os": "use nodeSelector with kubernetes.io/os",
        "overhead": "the cluster sets it from the runtime class: use runtimeClassName",
        "preemptionPolicy": "it comes with the priority class: use priorityClassName",
        "priority": "it comes with the priority class: use priorityClassName",
        "readinessGates": "nothing waits for a step to be ready: leave it out",
        "resourceClaims": "claims of devices are not supported: use resources of the step",
        "resources": "use resources of the step",  # they would override the step's
        "restartPolicy": "use retries of the step",
        "schedulingGates": "they would keep the Pod from ever being scheduled: leave it out",
        "workloadRef": "a step is scheduled by itself: leave it out",
    },
)

POD_TEMPLATE: Final = Object({"metadata": METADATA, "spec": _SPEC})
"""The whole of a podTemplate."""
