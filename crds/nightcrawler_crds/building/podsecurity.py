"""What a Pod leaves out is filled in so that it passes the installation's Pod Security level. Pure.

Only restricted demands that anything be set. What is set already stays; what of it the level does not allow
is refused before a run begins (`nightcrawler_crds.validation.podtemplate.level`).
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightcrawler_crds.validation.podtemplate import Level


def filled(spec: Mapping[str, Any], level: Level) -> dict[str, Any]:
    """A Pod's spec that passes the level, as far as that depends on what it leaves out."""
    if level != "restricted":
        return dict(spec)
    # For all containers at once: what one of them sets itself comes before it.
    of_pod = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **(spec.get("securityContext") or {}),
    }
    lists = {
        name: [_container(c) for c in spec[name]]
        for name in ("initContainers", "containers")
        if spec.get(name)
    }
    return {**spec, **lists, "securityContext": of_pod}


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    """A step's container, an init container or a side-car: what has no field of the Pod's."""
    context = container.get("securityContext") or {}
    capabilities = {"drop": ["ALL"], **(context.get("capabilities") or {})}
    own = {"allowPrivilegeEscalation": False, **context, "capabilities": capabilities}
    return {**container, "securityContext": own}
