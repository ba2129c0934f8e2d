"""Workflows as manifests: written so that kubectl reads what is stored, and read as bodies of the API; pure.

Strings are always quoted, because YAML parsers differ in which plain words they read as something else
(`y`, `1e3`, `0o7`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from nightcrawler_api.refusals import FieldError, at
from nightcrawler_api.workflows.schemas import ONLY_IN_ANSWERS
from nightcrawler_crds import names
from nightcrawler_crds.kube.views import WorkflowView
from nightcrawler_crds.names import WORKFLOWS

_PLAIN_KEY: Final = re.compile(r"[a-z][A-Za-z0-9]{2,}")
_RESERVED: Final = frozenset({"yes", "off", "true", "false", "null"})
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_KEYS: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_PLACES: Final = {"/name": "/spec/displayName", "/namespace": "/metadata/namespace"}
_ONLY_IN_BODIES: Final = ("name", "namespace", *ONLY_IN_ANSWERS)


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


def read_manifest(
    manifest: Mapping[str, Any],
) -> tuple[str | None, str | None, dict[str, Any], list[FieldError]]:
    """Name and namespace in a manifest, if any, the body for the API's create, and what is wrong with it."""
    found = [at(f"/{key}", "there is no such field") for key in manifest if key not in _KEYS]
    for key, wanted in (("apiVersion", WORKFLOWS.api_version), ("kind", WORKFLOWS.kind)):
        if manifest.get(key) != wanted:
            found.append(at(f"/{key}", f"must be {wanted}"))
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if metadata is not None and not isinstance(metadata, Mapping):
        found.append(at("/metadata", "must be an object"))
    name, namespace, problems = _place_in(metadata if isinstance(metadata, Mapping) else {})
    found += problems
    if not isinstance(spec, Mapping):
        return name, namespace, {}, [*found, at("/spec", "is required, and must be an object")]
    # The API calls displayName name, and has more fields than the spec.
    found += [at(f"/spec/{key}", "there is no such field") for key in spec if key in _ONLY_IN_BODIES]
    body = {key: value for key, value in spec.items() if key != "displayName"}
    body["name"] = spec.get("displayName") or name
    if body["name"] is None:
        found.append(at("/spec/displayName", "is required if metadata.name is not set"))
    return name, namespace, body, found


def _place_in(metadata: Mapping[str, Any]) -> tuple[str | None, str | None, list[FieldError]]:
    """Name and namespace in a manifest's metadata; everything else there is the cluster's, or not kept."""
    found = []
    namespace = metadata.get("namespace") or None
    if namespace is not None and not isinstance(namespace, str):
        found.append(at("/metadata/namespace", "must be the name of a namespace, or left out"))
        namespace = None
    name = metadata.get("name")
    if name is None:
        return None, namespace, found
    most = names.MAX_WORKFLOW_NAME
    if not isinstance(name, str) or not names.is_dns_label(name, most):
        forms = "lower-case letters, digits and, between them, dashes, beginning with a letter"
        found.append(at("/metadata/name", f"must be a DNS label of at most {most} characters: {forms}"))
        return None, namespace, found
    return name, namespace, found


def in_manifest(fields: Sequence[FieldError]) -> list[FieldError]:
    """The errors in a body, where they are in the manifest."""
    moved: list[FieldError] = []
    for field in fields:
        pointer = field.get("pointer", "")
        place = _PLACES.get(pointer, f"/spec{pointer}")
        moved.append(at(place, field["detail"]))
    return moved
