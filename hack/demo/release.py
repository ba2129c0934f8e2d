"""Operator and facade as people install them: the image of the Dockerfile, by the Helm chart, as Pods."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from demo import services
from demo.cluster import BUILD, ROOT, Kubectl
from demo.services import Installed, Service
from demo.terminal import DemoError, say, shown
from localcluster import binaries

NAME: Final = "nightcrawler"
NAMESPACE: Final = "nightcrawler"
CHART: Final = "charts/nightcrawler"
VALUES: Final = "hack/demo/values.yaml"
FOLDER: Final = BUILD / "demo"
FORWARD: Final = Service("forward", FOLDER, 8080, "NIGHTCRAWLER_API_PORT")
_READY_WITHIN: Final = "--timeout=5m"
_PARTS: Final = ("operator", "api")
_CLUSTER: Final = ("namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
_VOLUME: Final = f"{NAME}-archive"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_USER: Final = 65532
"""As which the programs run in their containers."""
_DEFINITIONS: Final = ("crd", "workflows.nightcrawler.dev", "--ignore-not-found", "--output=json")


def helm() -> str:
    """The helm on PATH, else the one that is built here."""
    return shutil.which("helm") or str(binaries.helm())


def offer_helm() -> None:
    """Put the helm that is built here, if it is that one, into build/bin beside kubectl."""
    link = BUILD / "bin" / "helm"
    if link.parent.is_dir() and shutil.which("helm") is None:
        link.unlink(missing_ok=True)
        link.symlink_to(binaries.helm())


def install(kubectl: Kubectl, image: Path, *settings: str, folder: Path = FOLDER) -> None:
    """Install the release, or bring it up to date, and wait until its Pods are ready.

    Args:
        kubectl: The cluster's.
        image: The archive of the image, which its nodes have.
        settings: Further arguments of helm.
        folder: Remembers what was installed.

    Raises:
        DemoError: Helm failed.
    """
    record = folder / "release"
    content = f"{kubectl.ask('get', *_CLUSTER)} {image}"
    is_new = not is_installed(kubectl)
    command = ["helm", "upgrade", "--install", NAME, CHART, f"--namespace={NAMESPACE}", "--create-namespace"]
    command += [f"--values={VALUES}", "--wait", _READY_WITHIN, *settings]
    _offer_volume(kubectl, folder / "archive")
    if _definitions_are_unowned(kubectl):  # after `make dev`, which applies them
        _hand_over(kubectl)
    shown(command, env=kubectl.environment(), program=helm(), output=False)
    if not is_new and not (record.is_file() and record.read_text() == content):
        # The image is another one under the same name, so that the Deployments have not changed.
        for part in _PARTS:
            kubectl.show("rollout", "restart", f"deployment/{NAME}-{part}", f"--namespace={NAMESPACE}")
            kubectl.ask(
                "rollout", "status", f"deployment/{NAME}-{part}", f"--namespace={NAMESPACE}", _READY_WITHIN
            )
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(content)
    kubectl.show("get", "deployments", f"--namespace={NAMESPACE}")


def forward(kubectl: Kubectl, forwarding: Service = FORWARD) -> Installed:
    """Forward a port of this host to the facade, also after the demo.

    Raises:
        DemoError: The facade does not answer there.
    """
    say(f"\n(In the background: kubectl port-forward --namespace={NAMESPACE} service/{NAME}-api)")
    command = [sys.executable, "-m", "demo.forward", kubectl.program, NAMESPACE, f"{NAME}-api"]
    environment = {**kubectl.environment(), "PYTHONPATH": str(ROOT / "hack")}
    address = services.start(forwarding, command, environment)
    operator = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}-operator:metrics/proxy/metrics"
    return Installed(
        address=address,
        metrics=f"{address}/metrics, kubectl get --raw {operator}",
        logs=f"kubectl logs --namespace={NAMESPACE} deployment/{NAME}-operator, or {NAME}-api",
    )


def is_installed(kubectl: Kubectl) -> bool:
    """Whether the cluster has the release's operator."""
    asked = ("get", "deployment", f"{NAME}-operator", f"--namespace={NAMESPACE}", "--ignore-not-found")
    return bool(kubectl.ask(*asked, "--output=name"))


def refuse_if_installed(kubectl: Kubectl) -> None:
    """Refuse a second operator, which would not know of the release's.

    Raises:
        DemoError: The release is installed.
    """
    if is_installed(kubectl):
        raise DemoError(
            f"The chart's release {NAME} is installed in this cluster, and its operator would run the same "
            f"workflows. Remove it first: helm uninstall {NAME} --namespace {NAMESPACE} --wait"
        )


def _offer_volume(kubectl: Kubectl, folder: Path) -> None:
    """A folder of this host as the volume of the archive, in a cluster that makes none by itself."""
    classes: list[dict[str, Any]] = json.loads(kubectl.ask("get", "storageclasses", "--output=json"))["items"]
    if any(one["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true" for one in classes):
        return
    if kubectl.ask("get", "persistentvolume", _VOLUME, "--ignore-not-found", "--output=name"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, _USER, _USER)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _VOLUME},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": NAMESPACE, "name": _VOLUME},
            "hostPath": {"path": str(folder)},
        },
    }
    say(f"(The archive's volume is the folder {os.path.relpath(folder)} of this host.)")
    kubectl.ask("apply", "--filename=-", stdin=json.dumps(volume))


def _definitions_are_unowned(kubectl: Kubectl) -> bool:
    """Whether the custom resources exist and are not from Helm, so that the chart would refuse."""
    text = kubectl.ask("get", *_DEFINITIONS)
    found: dict[str, Any] = json.loads(text) if text.strip() else {}
    return bool(found) and "meta.helm.sh/release-name" not in found["metadata"].get("annotations", {})


def _hand_over(kubectl: Kubectl) -> None:
    """Let the release adopt the custom resources, as docs/installing.md says."""
    release = (f"meta.helm.sh/release-name={NAME}", f"meta.helm.sh/release-namespace={NAMESPACE}")
    kubectl.show("annotate", "-f", "crds/", *release)
    kubectl.show("label", "-f", "crds/", "app.kubernetes.io/managed-by=Helm")
