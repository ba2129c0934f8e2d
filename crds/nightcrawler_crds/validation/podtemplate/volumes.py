"""Volumes: from the namespace, created for the Pod, and those that need a power."""

from __future__ import annotations

from typing import Any, Final

from nightcrawler_crds.validation.podtemplate.containers import FIELD_REF, RESOURCE_FIELD_REF
from nightcrawler_crds.validation.podtemplate.forms import (
    CLAIM,
    FILLED,
    LABEL,
    METADATA,
    NAME,
    RELATIVE,
    SECRET,
    SOME,
    STORAGE,
)
from nightcrawler_crds.validation.podtemplate.grammar import (
    FLAG,
    TEXT,
    Choice,
    Guarded,
    ListOf,
    MapOf,
    Number,
    Object,
    Quantity,
    Text,
)
from nightcrawler_crds.validation.podtemplate.policy import Power

_MODE: Final = Number(0, 0o777)
_INSIDE: Final = Text((FILLED, RELATIVE))
_KEYS: Final = ListOf(
    Object({"key": SOME, "path": _INSIDE, "mode": _MODE}, required=("key", "path")), key={"path": None}
)
_DOWNWARD: Final = ListOf(
    Object(
        {"path": _INSIDE, "fieldRef": FIELD_REF, "resourceFieldRef": RESOURCE_FIELD_REF, "mode": _MODE},
        required=("path",),
        one_of=("fieldRef", "resourceFieldRef"),
    )
)

# --- projected ---------------------------------------------------------------------------------------

_IDENTITY: Final = Power.SERVICE_ACCOUNT
_SOURCES: Final[dict[str, Any]] = {
    "configMap": Object({"name": NAME, "items": _KEYS, "optional": FLAG}, required=("name",)),
    "secret": Object({"name": SECRET, "items": _KEYS, "optional": FLAG}, required=("name",)),
    "downwardAPI": Object({"items": _DOWNWARD}),
    "serviceAccountToken": Guarded(
        _IDENTITY,
        Object(
            {"audience": TEXT, "expirationSeconds": Number(600, 2**32), "path": _INSIDE}, required=("path",)
        ),
        "a service account's token",
    ),
    "podCertificate": Guarded(
        _IDENTITY,
        Object(
            {
                "signerName": SOME,
                "keyType": SOME,
                "maxExpirationSeconds": Number(3600, 91 * 24 * 3600),
                "credentialBundlePath": _INSIDE,
                "keyPath": _INSIDE,
                "certificateChainPath": _INSIDE,
                "userAnnotations": MapOf(TEXT),
            },
            required=("signerName", "keyType"),
        ),
        "a certificate of the Pod",
    ),
    "clusterTrustBundle": Guarded(
        _IDENTITY,
        Object(
            {"name": NAME, "signerName": SOME, "optional": FLAG, "path": _INSIDE},
            refused={"labelSelector": "name the bundle instead"},
            required=("path",),
        ),
        "a trust bundle of the cluster",
    ),
}

# --- claims ------------------------------------------------------------------------------------------

_CHOSEN: Final = "the cluster chooses the volume: make a claim, and use persistentVolumeClaim"
_STORED: Final = MapOf(Quantity(), (STORAGE,))
_CLAIM_SPEC: Final = Object(
    {
        "accessModes": ListOf(
            Choice(("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")), least=1
        ),
        "resources": Object(
            {"requests": _STORED, "limits": _STORED},
            required=("requests",),
        ),
        "storageClassName": TEXT,
        "volumeMode": Choice(("Filesystem", "Block")),
        "dataSource": Object({"apiGroup": TEXT, "kind": SOME, "name": CLAIM}, required=("kind", "name")),
    },
    refused={
        "dataSourceRef": "it can reach into other namespaces: use dataSource",
        "selector": _CHOSEN,
        "volumeName": _CHOSEN,
        "volumeAttributesClassName": "older Kubernetes drops it silently: use storageClassName",
    },
    required=("accessModes", "resources"),
)
_CLAIM_TEMPLATE: Final = Object(
    {"metadata": METADATA, "spec": _CLAIM_SPEC},
    required=("spec",),
)

# --- volumes -----------------------------------------------------------------------------------------

_ALWAYS_ALLOWED: Final[dict[str, Any]] = {
    "configMap": Object(
        {"name": NAME, "items": _KEYS, "defaultMode": _MODE, "optional": FLAG}, required=("name",)
    ),
    "secret": Object(
        {"secretName": SECRET, "items": _KEYS, "defaultMode": _MODE, "optional": FLAG},
        required=("secretName",),
    ),
    "persistentVolumeClaim": Object({"claimName": CLAIM, "readOnly": FLAG}, required=("claimName",)),
    "emptyDir": Object(
        {
            "medium": Choice(("", "Memory", "HugePages", "HugePages-2Mi", "HugePages-1Gi")),
            "sizeLimit": Quantity(),
        }
    ),
    "projected": Object(
        {"sources": ListOf(Object(_SOURCES, one_of=tuple(_SOURCES))), "defaultMode": _MODE},
        required=("sources",),
    ),
    "downwardAPI": Object({"items": _DOWNWARD, "defaultMode": _MODE}),
    "ephemeral": Object({"volumeClaimTemplate": _CLAIM_TEMPLATE}, required=("volumeClaimTemplate",)),
    "image": Object(
        {"reference": SOME, "pullPolicy": Choice(("Always", "IfNotPresent", "Never"))},
        required=("reference",),
    ),
}
_GUARDED: Final[dict[str, Any]] = {
    "hostPath": Guarded(
        Power.HOST_PATH,
        Object(
            {
                "path": SOME,
                "type": Choice(
                    (
                        "",
                        "DirectoryOrCreate",
                        "Directory",
                        "FileOrCreate",
                        "File",
                        "Socket",
                        "CharDevice",
                        "BlockDevice",
                    )
                ),
            },
            required=("path",),
        ),
        "a hostPath volume",
    ),
    "csi": Guarded(
        Power.DIRECT_VOLUMES,
        Object(
            {
                "driver": SOME,
                "fsType": TEXT,
                "readOnly": FLAG,
                "volumeAttributes": MapOf(TEXT),
                "nodePublishSecretRef": Object({"name": SECRET}, required=("name",)),
            },
            required=("driver",),
        ),
        "a volume of a driver, without a claim,",
    ),
    "nfs": Guarded(
        Power.DIRECT_VOLUMES,
        Object({"server": SOME, "path": SOME, "readOnly": FLAG}, required=("server", "path")),
        "a volume of a server, without a claim,",
    ),
}
_NEEDS_CLAIM: Final = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "iscsi",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
_TYPES: Final = {**_ALWAYS_ALLOWED, **_GUARDED}

VOLUMES: Final = ListOf(
    Object(
        {"name": LABEL, **_TYPES},
        refused=dict.fromkeys(_NEEDS_CLAIM, "volumes of this type need a claim: use persistentVolumeClaim"),
        required=("name",),
        one_of=tuple(_TYPES),
    ),
    key={"name": None},
)
