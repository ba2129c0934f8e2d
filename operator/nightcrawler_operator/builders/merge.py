"""A podTemplate merged over a built Pod, as kubectl's strategic merge would do it.

Objects merge field by field, null removes a field, and the lists that Kubernetes keeps
by a key merge by it. All other lists are replaced, but for two that more than the author
has a say in: tolerations are added to, for an Environment's are what lets the Pod onto its
nodes at all, and to each term of a node affinity goes what the step's GPU model asks for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

_MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "readinessGates": "conditionType",
    "schedulingGates": "name",
}
"""The patchMergeKey of each list, by field name, from Kubernetes' core/v1 types."""

_ADDED: Final = frozenset({"tolerations"})
_TERMS: Final = "nodeSelectorTerms"
_EXPRESSIONS: Final = "matchExpressions"


def merge_pod(built: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The built Pod template with a podTemplate over it; neither argument is changed."""
    return _merge(built, template)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in over.items():
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = _merge(old, value)
        elif isinstance(value, list) and isinstance(old, list) and key in _MERGE_KEYS:
            merged[key] = _merge_list(old, value, _MERGE_KEYS[key])
        elif isinstance(value, list) and isinstance(old, list) and key in _ADDED:
            merged[key] = [*old, *(copy.deepcopy(item) for item in value if item not in old)]
        elif isinstance(value, list) and isinstance(old, list) and key == _TERMS:
            # Ours is one term; none of the author's says nothing against it.
            merged[key] = [_with_both(old[0], term) for term in value] or old
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _with_both(built: Mapping[str, Any], term: Any) -> Any:
    """A term of a node affinity with our expressions too: one term has to hold, and in it all."""
    own = (term.get(_EXPRESSIONS) or []) if isinstance(term, Mapping) else None
    if not isinstance(own, list):
        return copy.deepcopy(term)  # the API server says what is wrong with it
    return copy.deepcopy({**term, _EXPRESSIONS: [*own, *built[_EXPRESSIONS]]})


def _merge_list(base: list[Any], over: list[Any], key: str) -> list[Any]:
    """By key: those of the base first, in their order, then the new ones in theirs."""
    changes: dict[str | int, Mapping[str, Any]] = {}
    others: list[Any] = []
    for item in over:
        name = item.get(key) if isinstance(item, Mapping) else None
        if isinstance(name, str | int):
            changes[name] = item
        else:
            others.append(item)  # whatever it is: the API server says what is wrong with it
    merged = [_merge(item, changes.pop(item.get(key), {})) for item in base]
    return [*merged, *(copy.deepcopy(item) for item in (*changes.values(), *others))]
