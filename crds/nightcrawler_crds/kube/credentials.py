"""Where the identity comes from: a named kubeconfig, the Pod, or the usual kubeconfig, in this order."""

from __future__ import annotations

import os

from nightcrawler_crds.kube.identity import Identity, in_pod, pod_identity, pod_identity_place
from nightcrawler_crds.kube.kubeconfig import read_plain


async def find_identity(kubeconfig: str | None) -> Identity:
    """The identity in the named kubeconfig, else the Pod's, else that of the usual kubeconfig.

    Raises:
        Exception: There is none, or it cannot be used; of any type if the official client reads it.
    """
    if not kubeconfig and in_pod():
        return pod_identity()
    file = kubeconfig or _usual()
    if plain := read_plain(file):
        return plain
    # Imported only when it is needed, for its 10 MB; see `kubeconfig`.
    from nightcrawler_crds.kube import officialclient  # noqa: PLC0415

    return await officialclient.read(file)


def tried(kubeconfig: str | None) -> str:
    """Where `find_identity` looks, for the message of a failure."""
    if kubeconfig:
        return kubeconfig
    return f"the identity in {pod_identity_place()}" if in_pod() else f"{_usual()}, and no Pod's identity"


def _usual() -> str:
    return os.environ.get("KUBECONFIG") or "~/.kube/config"
