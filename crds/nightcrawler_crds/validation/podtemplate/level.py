"""What a podTemplate says against the Pod Security level of the installation. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ has the rules. Baseline is what the
allow-list itself holds to, for no power beyond it goes together with a level; here is what restricted adds.
What a podTemplate leaves out is filled in by the operator (`building.podsecurity`), and so is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nightcrawler_crds.validation.podtemplate.policy import Level, Power

Place = tuple[str | int, ...]

_BEYOND_BASELINE: Final = frozenset(
    {Power.HOST_NAMESPACES, Power.HOST_PORTS, Power.HOST_PATH, Power.PRIVILEGED}
)
BEYOND: Final[Mapping[Level, frozenset[Power]]] = {
    "privileged": frozenset(),
    "baseline": _BEYOND_BASELINE,
    "restricted": _BEYOND_BASELINE,
}
"""The powers that a level forbids whatever the installation allows."""

_SETTING: Final = "NIGHTCRAWLER_STEPS_POD_SECURITY"
_LISTS: Final = ("containers", "initContainers")
_ADDABLE: Final = "NET_BIND_SERVICE"


def against(template: Mapping[str, Any], level: Level) -> Iterator[tuple[Place, str]]:
    """Where a podTemplate, of whatever JSON it is, asks for more than the level allows, and a sentence."""
    spec = template.get("spec")
    if level != "restricted" or not isinstance(spec, Mapping):
        return
    yield from _users(spec.get("securityContext"), ("spec", "securityContext"))
    for name in _LISTS:
        for index, container in _items(spec.get(name)):
            at = ("spec", name, index, "securityContext")
            context = container.get("securityContext")
            yield from _users(context, at)
            yield from _container(context, at)
    for index, volume in _items(spec.get("volumes")):
        if "nfs" in volume:
            yield ("spec", "volumes", index, "nfs"), f"is a volume {_forbidden('a persistentVolumeClaim')}"


def _users(context: Any, at: Place) -> Iterator[tuple[Place, str]]:
    """What Pods and containers have in common."""
    if not isinstance(context, Mapping):
        return
    if context.get("runAsNonRoot") is False:
        yield (*at, "runAsNonRoot"), f"false is a user {_forbidden('true, or leave it out')}"
    user = context.get("runAsUser")
    if user == 0 and not isinstance(user, bool):
        yield (*at, "runAsUser"), f"0 is root, a user {_forbidden('the number of another one')}"


def _container(context: Any, at: Place) -> Iterator[tuple[Place, str]]:
    if not isinstance(context, Mapping):
        return
    if context.get("allowPrivilegeEscalation") is True:
        yield (*at, "allowPrivilegeEscalation"), f"true is a right {_forbidden('false, or leave it out')}"
    capabilities = context.get("capabilities")
    if not isinstance(capabilities, Mapping):
        return
    added, dropped = capabilities.get("add"), capabilities.get("drop")
    for index, capability in enumerate(added if isinstance(added, list) else ()):
        if isinstance(capability, str) and capability != _ADDABLE:
            sentence = f"{capability[:60]!r} is a capability {_forbidden(f'{_ADDABLE} alone, or none')}"
            yield (*at, "capabilities", "add", index), sentence
    if isinstance(dropped, list) and "ALL" not in dropped:
        sentence = f"keeps capabilities {_forbidden('[ALL], or leave it out')}"
        yield (*at, "capabilities", "drop"), sentence


def _items(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield index, item


def _forbidden(instead: str) -> str:
    return (
        "that the Pod Security level of this installation, restricted, does not allow: "
        f"use {instead}; or have {_SETTING} set to baseline, and the namespace's label"
    )
