"""Workflows as manifests, written so that kubectl reads what is stored; pure.

Strings are always quoted, because YAML parsers differ in which plain words they read as something else
(`y`, `1e3`, `0o7`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.names import WORKFLOWS

_PLAIN_KEY: Final = re.compile(r"[a-z][A-Za-z0-9]{2,}")
_RESERVED: Final = frozenset({"yes", "off", "true", "false", "null"})
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def manifest_of(view: WorkflowView) -> dict[str, Any]:
    """The manifest of a workflow, for any namespace: without what the cluster added."""
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": view.metadata.name},
        "spec": view.spec,
    }


def to_yaml(value: Mapping[str, Any]) -> str:
    """A value as YAML, in its order."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _item(f"{indent}{_key(key)}:", inner, indent + "  ")
    elif isinstance(value, list) and value:
        for inner in value:
            if isinstance(inner, Mapping | list) and inner:
                first, *others = _lines(inner, indent + "  ")
                yield f"{indent}- {first.lstrip(' ')}"
                yield from others
            else:
                yield f"{indent}- {_scalar(inner)}"
    else:
        yield f"{indent}{_scalar(value)}"


def _item(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping | list) and value:
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key not in _RESERVED else _scalar(key)


def _scalar(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
