"""Pods of a run whose volume is on one node: each has the node constraints of all steps.

The first Pod decides where the volume is. So it must not run where a later step could not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nightcrawler_crds import names

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_MOST_TERMS: Final = 64
"""Alternatives of a node affinity; combining those of several steps multiplies them."""

Terms = Sequence[Mapping[str, Any]]


def bind(
    spec: dict[str, Any],
    others: Iterable[Mapping[str, Any]],
    *,
    nodes: Terms = (),
    tolerations: Iterable[Mapping[str, Any]] = (),
    beside: str | None = None,
) -> None:
    """Add the node constraints of other steps to a Pod's spec.

    Args:
        spec: The spec, which is changed.
        others: The specs of the other steps' Pods.
        nodes: Further terms of a node affinity, one of which has to match.
        tolerations: Further tolerations.
        beside: The execution's UID, if its Pods that run at the same time have to be on one node.
    """
    selector, allowed = dict(spec.get("nodeSelector", {})), list(spec.get("tolerations", ()))
    combined = list(_terms(spec))
    for other in others:
        selector = {**other.get("nodeSelector", {}), **selector}
        allowed += [one for one in other.get("tolerations", ()) if one not in allowed]
        combined = _both(combined, _terms(other))
    combined = _both(combined, nodes)
    allowed += [one for one in tolerations if one not in allowed]
    if selector:
        spec["nodeSelector"] = selector
    if allowed:
        spec["tolerations"] = allowed
    affinity = {**spec.get("affinity", {})}
    if combined:
        required = {_REQUIRED: {"nodeSelectorTerms": combined}}
        affinity["nodeAffinity"] = {**affinity.get("nodeAffinity", {}), **required}
    if beside is not None:
        affinity["podAffinity"] = _beside(affinity.get("podAffinity", {}), beside)
    if affinity:
        spec["affinity"] = affinity


def _terms(spec: Mapping[str, Any]) -> Terms:
    affinity = spec.get("affinity", {}).get("nodeAffinity", {}).get(_REQUIRED, {})
    terms: Terms = affinity.get("nodeSelectorTerms", ())
    return terms


def _both(one: Terms, other: Terms) -> list[Mapping[str, Any]]:
    """Terms that match where both lists do; too many of them are not combined, and the first list stays."""
    if not one or not other or list(one) == list(other):
        return [*(one or other)]
    if len(one) * len(other) > _MOST_TERMS:
        return list(one)
    found: list[Mapping[str, Any]] = []
    for first in one:
        for second in other:
            term = {
                kind: [
                    *first.get(kind, ()),
                    *(e for e in second.get(kind, ()) if e not in first.get(kind, ())),
                ]
                for kind in ("matchExpressions", "matchFields")
                if first.get(kind) or second.get(kind)
            }
            if term not in found:
                found.append(term)
    return found


def _beside(affinity: Mapping[str, Any], execution_uid: str) -> dict[str, Any]:
    """A Pod affinity by which a Pod goes to the node of the run's others; the first one goes anywhere."""
    ours = {
        "labelSelector": {"matchLabels": {names.LABEL_EXECUTION_UID: execution_uid}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {**affinity, _REQUIRED: [*affinity.get(_REQUIRED, ()), ours]}
