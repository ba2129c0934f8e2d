"""Volumes for the Pods of a cluster with a real node: folders, made by Rancher's local-path provisioner.

Its StorageClass is the cluster's default. A Pod of the provisioner's makes and removes each folder; on a
simulated node it ends at once, so that claims are bound there too.
"""

import json
from typing import Any

from . import binaries
from .api import Api, RefusedError
from .components import Plan
from .supervisor import Supervisor

NAME = "local-path-provisioner"
STORAGE_CLASS = "local-path"
_NAMESPACE = "local-path-storage"
_CONFIG = "local-path-config"
_IMAGE = "docker.io/library/busybox:1"
_ENDS = {"kwok.nightcrawler.dev/ends": "true"}


def start(supervisor: Supervisor, plan: Plan, api: Api) -> None:
    """Create the StorageClass and what the provisioner needs, and start it."""
    for path, body in _objects():
        try:
            api.post(path, body)
        except RefusedError as refusal:
            if refusal.status != 409:
                raise
    folder = plan.folder / "volumes"
    content = folder / "content"
    content.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.json"
    any_node = {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(content)]}
    settings.write_text(json.dumps({"nodePathMap": [any_node]}))
    helper = folder / "pod.json"
    helper.write_text(json.dumps(_helper()))
    supervisor.start(
        NAME,
        [
            str(binaries.local_path_provisioner()),
            "start",
            f"--config={settings}",
            f"--kubeconfig={plan.kubeconfig(NAME)}",
            f"--namespace={_NAMESPACE}",
            f"--configmap-name={_CONFIG}",
            f"--helper-image={_IMAGE}",
            f"--helper-pod-file={helper}",
            "--service-account-name=default",
        ],
    )


def _objects() -> list[tuple[str, dict[str, Any]]]:
    scripts = {
        "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
        "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
    }
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        ("/api/v1/namespaces", {"metadata": {"name": _NAMESPACE}}),
        (
            f"/api/v1/namespaces/{_NAMESPACE}/configmaps",
            {"metadata": {"name": _CONFIG}, "data": scripts},
        ),
        (
            "/apis/storage.k8s.io/v1/storageclasses",
            {
                "metadata": {"name": STORAGE_CLASS, "annotations": default},
                "provisioner": "rancher.io/local-path",
                # The first Pod that uses a volume decides on its node.
                "volumeBindingMode": "WaitForFirstConsumer",
                "reclaimPolicy": "Delete",
            },
        ),
    ]


def _helper() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod", "labels": _ENDS},
        "spec": {"containers": [{"name": "helper-pod", "image": _IMAGE, "imagePullPolicy": "IfNotPresent"}]},
    }
