"""JSON merge patches (RFC 7386) as the API server applies them."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, WorkflowView

V = TypeVar("V", EnvironmentView, ExecutionView, WorkflowView)


def merge(target: Any, patch: Any) -> Any:
    """The target with a merge patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def without_nulls(value: Any) -> Any:
    """An object as the API server keeps it: a null is as good as nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def merged_status(view: V, patch: dict[str, Any]) -> V:
    """A view after a patch of its status has gone over the wire and come back."""
    body = without_nulls(json.loads(msgspec.json.encode(view)))
    body["status"] = merge(body.get("status", {}), json.loads(json.dumps(patch)))
    return msgspec.convert(body, type(view), strict=False)
