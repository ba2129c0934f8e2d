"""Containers: the step's own, init containers and sidecars."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.validation.podtemplate.forms import (
    DNS_LABEL,
    LABEL,
    NAME,
    NOT_THE_STEP,
    PATH,
    PORT_NAME,
    PREFIX,
    RELATIVE,
    RESOURCE,
    SECRET,
    SOME,
    VARIABLE,
)
from nightcrawler_crds.validation.podtemplate.grammar import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE_64,
    Choice,
    Guarded,
    ListOf,
    MapOf,
    Number,
    Object,
    PortOrName,
    Quantity,
    Text,
    Variant,
)
from nightcrawler_crds.validation.podtemplate.policy import Power
from nightcrawler_crds.validation.podtemplate.security import SECURITY_CONTEXT

# --- variables -------------------------------------------------------------------------------------

FIELD_REF: Final = Object({"fieldPath": SOME, "apiVersion": Choice(("v1",))}, required=("fieldPath",))
RESOURCE_FIELD_REF: Final = Object(
    {"containerName": LABEL, "resource": SOME, "divisor": Quantity()}, required=("resource",)
)
VALUE_FROM: Final = Object(
    {
        "configMapKeyRef": Object({"name": NAME, "key": SOME, "optional": FLAG}, required=("name", "key")),
        "secretKeyRef": Object({"name": SECRET, "key": SOME, "optional": FLAG}, required=("name", "key")),
        "fieldRef": FIELD_REF,
        "resourceFieldRef": RESOURCE_FIELD_REF,
    },
    refused={"fileKeyRef": "older Kubernetes drops it silently: read the file in the program"},
    one_of=("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef"),
)
ENV_FROM: Final = Object(
    {
        "prefix": Text((PREFIX,)),
        "configMapRef": Object({"name": NAME, "optional": FLAG}, required=("name",)),
        "secretRef": Object({"name": SECRET, "optional": FLAG}, required=("name",)),
    },
    one_of=("configMapRef", "secretRef"),
)
_ENV: Final = ListOf(
    Object(
        {"name": Text((VARIABLE,)), "value": TEXT, "valueFrom": VALUE_FROM},
        required=("name",),
        one_of=("value", "valueFrom"),
        or_none=True,
    ),
    key={"name": None},
)

# --- probes and lifecycle hooks --------------------------------------------------------------------

_HOST: Final = Guarded(Power.HOST_NAMESPACES, SOME, "a request of the kubelet to another host")
_EXEC: Final = Object({"command": ListOf(TEXT, least=1)}, required=("command",))
_HTTP_GET: Final = Object(
    {
        "path": TEXT,
        "port": PortOrName(),
        "scheme": Choice(("HTTP", "HTTPS")),
        "httpHeaders": ListOf(Object({"name": SOME, "value": TEXT}, required=("name", "value"))),
        "host": _HOST,
    },
    required=("port",),
)
_TCP_SOCKET: Final = Object({"port": PortOrName(), "host": _HOST}, required=("port",))
_GRPC: Final = Object({"port": Number(1, 65535), "service": TEXT}, required=("port",))

_PROBE_FIELDS: Final[dict[str, Any]] = {
    "exec": _EXEC,
    "httpGet": _HTTP_GET,
    "tcpSocket": _TCP_SOCKET,
    "grpc": _GRPC,
    "initialDelaySeconds": NUMBER,
    "timeoutSeconds": Number(1),
    "periodSeconds": Number(1),
    "failureThreshold": Number(1),
}
_GRACE: Final[dict[str, Any]] = {"terminationGracePeriodSeconds": Number(1)}
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc")
_LIVENESS: Final = Object({**_PROBE_FIELDS, **_GRACE, "successThreshold": Number(1, 1)}, one_of=_HANDLERS)
_READINESS: Final = Object(
    {**_PROBE_FIELDS, "successThreshold": Number(1)},
    refused={"terminationGracePeriodSeconds": "a container that is not ready is not ended: leave it out"},
    one_of=_HANDLERS,
)
_HANDLER: Final = Object(
    {
        "exec": _EXEC,
        "httpGet": _HTTP_GET,
        "sleep": Object({"seconds": WHOLE_64}, required=("seconds",)),
    },
    refused={"tcpSocket": "Kubernetes does nothing for it: use exec, httpGet or sleep"},
    one_of=("exec", "httpGet", "sleep"),
)

# --- containers ------------------------------------------------------------------------------------

_PORT: Final = Object(
    {
        "containerPort": Number(1, 65535),
        "name": Text((PORT_NAME,)),
        "protocol": Choice(("TCP", "UDP", "SCTP")),
        "hostPort": Guarded(Power.HOST_PORTS, Number(0, 65535)),
        "hostIP": Guarded(Power.HOST_PORTS, SOME),
    },
    required=("containerPort",),
)
_MOUNT: Final = Object(
    {
        "name": LABEL,
        "mountPath": Text((PATH,)),
        "readOnly": FLAG,
        "recursiveReadOnly": Choice(("Disabled", "IfPossible", "Enabled")),
        "subPath": Text((RELATIVE,)),
        "subPathExpr": Text((RELATIVE,)),
        "mountPropagation": Choice(("None", "HostToContainer"), guarded={"Bidirectional": Power.PRIVILEGED}),
    },
    required=("name", "mountPath"),
    one_of=("subPath", "subPathExpr"),
    or_none=True,
)
_ANY_CONTAINER: Final[dict[str, Any]] = {
    "env": _ENV,
    "envFrom": ListOf(ENV_FROM),
    "imagePullPolicy": Choice(("Always", "IfNotPresent", "Never")),
    "ports": ListOf(_PORT, key={"containerPort": None, "protocol": "TCP"}),
    "securityContext": SECURITY_CONTEXT,
    "stdin": FLAG,
    "stdinOnce": FLAG,
    "terminationMessagePath": Text((PATH,)),
    "terminationMessagePolicy": Choice(("File", "FallbackToLogsOnError")),
    "tty": FLAG,
    "volumeDevices": ListOf(
        Object({"name": LABEL, "devicePath": Text((PATH,))}, required=("name", "devicePath")),
        key={"devicePath": None},
    ),
    "volumeMounts": ListOf(_MOUNT, key={"mountPath": None}),
}
_RUNNING: Final[dict[str, Any]] = {
    "lifecycle": Object(
        {"postStart": _HANDLER, "preStop": _HANDLER},
        refused={"stopSignal": "older Kubernetes drops it silently: use preStop, or leave it out"},
    ),
    "livenessProbe": _LIVENESS,
    "readinessProbe": _READINESS,
    "startupProbe": _LIVENESS,
}
"""Probes and lifecycle hooks, for containers that keep running."""

_NEVER: Final = {
    "resizePolicy": "a step keeps what it was given: leave it out",
    "restartPolicyRules": "use retries of the step",
}

STEP_CONTAINER: Final = Object(
    {
        "name": Choice(
            (names.STEP_CONTAINER,),
            otherwise="would be a second container and keep the step from ending: "
            "sidecars are initContainers with restartPolicy: Always",
        ),
        **_ANY_CONTAINER,
        **_RUNNING,
    },
    refused={
        "args": "use args of the step",
        "command": "use command of the step",
        "image": "use image of the step",
        "resources": "use resources of the step",
        "restartPolicy": "use retries of the step",
        "workingDir": "use workingDir of the step",
        **_NEVER,
    },
    required=("name",),
)

_AMOUNTS: Final = MapOf(Quantity(), (RESOURCE,))
_EXTRA_CONTAINER: Final[dict[str, Any]] = {
    "name": Text((DNS_LABEL, NOT_THE_STEP)),
    "image": SOME,
    "command": ListOf(TEXT),
    "args": ListOf(TEXT),
    "workingDir": TEXT,
    "resources": Object(
        {"limits": _AMOUNTS, "requests": _AMOUNTS},
        refused={"claims": "claims of devices are not supported: leave it out"},
    ),
    "restartPolicy": Choice(("Always",)),
    **_ANY_CONTAINER,
}
_ONLY_SIDE_CARS: Final = "only sidecars have it: set restartPolicy: Always, or leave it out"
_REQUIRED: Final = ("name", "image")

INIT_CONTAINER: Final = Variant(
    "restartPolicy",
    sorts={"Always": Object({**_EXTRA_CONTAINER, **_RUNNING}, refused=_NEVER, required=_REQUIRED)},
    others=Object(
        _EXTRA_CONTAINER, refused={**_NEVER, **dict.fromkeys(_RUNNING, _ONLY_SIDE_CARS)}, required=_REQUIRED
    ),
)
"""A sidecar, or an init container that must finish before the step starts."""
