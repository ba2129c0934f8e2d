"""A podTemplate merged over a built Pod, almost as kubectl's strategic merge would do it.

Objects merge field by field, and lists that have a key in Kubernetes merge by it. All other lists are
replaced, with three exceptions: tolerations are added, because the Pod needs those of its Environment, so is
envFrom, and each term of a node affinity gets what the step's GPU model requires.

Nothing can be removed: null and patch directives are refused before a run begins, and a null in a template
that an earlier release accepted has no effect.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

_Key = tuple[Any, ...]

MERGE_KEYS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "containers": {"name": None},
    "initContainers": {"name": None},
    "volumes": {"name": None},
    "env": {"name": None},
    "imagePullSecrets": {"name": None},
    "volumeMounts": {"mountPath": None},
    "volumeDevices": {"devicePath": None},
    "ports": {"containerPort": None, "protocol": "TCP"},
    "hostAliases": {"ip": None},
    "topologySpreadConstraints": {"topologyKey": None, "whenUnsatisfiable": None},
}
"""The key fields of each list, with the default of a field that an item leaves out.

They are the listMapKeys of Kubernetes' core/v1 types: of two ports with one number, one may be UDP.
"""

_ADDED: Final = frozenset({"tolerations", "envFrom"})
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
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = _merge(old, value)
        elif isinstance(value, list) and isinstance(old, list) and key in MERGE_KEYS:
            merged[key] = _merge_list(key, old, value)
        elif isinstance(value, list) and isinstance(old, list) and key in _ADDED:
            merged[key] = [*old, *(copy.deepcopy(item) for item in value if item not in old)]
        elif isinstance(value, list) and isinstance(old, list) and key == _TERMS:
            # Ours is one term; an empty list of the author's leaves it.
            merged[key] = [_with_both(old[0], term) for term in value] or old
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _with_both(built: Mapping[str, Any], term: Any) -> Any:
    """A term of a node affinity with our expressions added: one term has to match, with all of its own."""
    own = (term.get(_EXPRESSIONS) or []) if isinstance(term, Mapping) else None
    if not isinstance(own, list):
        return copy.deepcopy(term)  # the API server reports what is wrong with it
    return copy.deepcopy({**term, _EXPRESSIONS: [*own, *built[_EXPRESSIONS]]})


def _merge_list(name: str, base: list[Any], over: list[Any]) -> list[Any]:
    """By key: items of the base first, in their order, then the new ones."""
    fields = MERGE_KEYS[name]
    changes: dict[_Key, Mapping[str, Any]] = {}
    others: list[Any] = []
    for item in over:
        key = _key_of(item, fields)
        if key is not None:
            changes[key] = item
        else:
            others.append(item)  # whatever it is: the API server reports what is wrong with it
    merged = [_merge_item(name, item, changes.pop(_key_of(item, fields) or (), {})) for item in base]
    return [*merged, *(copy.deepcopy(item) for item in (*changes.values(), *others))]


def _merge_item(name: str, base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A variable has a value or a source, a volume one type; merged, they could have two."""
    if over and (name == "env" or (name == "volumes" and over.keys() != base.keys())):
        return copy.deepcopy(dict(over))
    return _merge(base, over)


def _key_of(item: Any, fields: Mapping[str, str | None]) -> _Key | None:
    if not isinstance(item, Mapping):
        return None
    key = tuple(item.get(field, default) for field, default in fields.items())
    return key if all(isinstance(part, str | int) for part in key) else None
