"""What a step's podTemplate may hold: the Pod's shape, what is ours to set, what an installation allows.

A podTemplate is free-form in the schema, for it is Kubernetes' own; so whatever is read of it
here is checked for its shape first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nightcrawler_crds import names

Finding = tuple[str, str]
"""Where in the podTemplate (a JSON pointer), and a sentence."""


@dataclass(frozen=True, slots=True)
class PodPolicy:
    """What an installation allows in Pod templates beyond what is harmless to the cluster."""

    allow_service_account: bool = False
    allow_host_namespaces: bool = False
    allow_host_path: bool = False
    allow_privileged: bool = False


def findings(template: Mapping[str, Any], policy: PodPolicy) -> list[Finding]:
    """Everything that speaks against a podTemplate."""
    if shape := [*_shape(template)]:
        return shape
    spec = template.get("spec") or {}
    return [*_reserved(template), *_containers(spec), *_not_allowed(spec, policy)]


# --- shape -----------------------------------------------------------------------------------------

_LISTS: Final = ("containers", "initContainers", "volumes")


def _shape(template: Mapping[str, Any]) -> Iterator[Finding]:
    for key, value in template.items():
        if key not in ("metadata", "spec"):
            yield f"/{key}", f"podTemplate has metadata and spec, not {key!r}"
        elif value is not None and not isinstance(value, Mapping):
            yield f"/{key}", f"podTemplate.{key} must be an object"
        elif value is not None:
            yield from _shape_of_metadata(value) if key == "metadata" else _shape_of_spec(value)


def _shape_of_metadata(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for field in ("labels", "annotations"):
        value = metadata.get(field)
        if value is not None and not _is_text_map(value):
            yield f"/metadata/{field}", f"podTemplate.metadata.{field} must be an object of texts"


def _shape_of_spec(spec: Mapping[str, Any]) -> Iterator[Finding]:
    for field in _LISTS:
        items = spec.get(field)
        if items is not None and not _is_named_list(items):
            yield f"/spec/{field}", f"podTemplate.spec.{field} must be a list of objects that have a name"
            return
    for where, container in _all_containers(spec):
        for field, (fits, what) in _CONTAINER_FIELDS.items():
            value = container.get(field)
            if value is not None and not fits(value):
                yield where, f"{field} of the container {container['name']!r} must be {what}"


def _keyed_by(key: str) -> tuple[Callable[[object], bool], str]:
    def fits(items: object) -> bool:
        return isinstance(items, list) and all(
            isinstance(item, Mapping) and isinstance(item.get(key), str | int) for item in items
        )

    return fits, f"a list of objects that have a {key}"


_CONTAINER_FIELDS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "securityContext": (lambda value: isinstance(value, Mapping), "an object"),
    "env": _keyed_by("name"),
    "ports": _keyed_by("containerPort"),
    "volumeMounts": _keyed_by("mountPath"),
    "volumeDevices": _keyed_by("devicePath"),
}


def _is_text_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())


def _is_named_list(items: object) -> bool:
    return isinstance(items, list) and all(
        isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in items
    )


def _all_containers(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            yield f"/spec/{field}", container


# --- what is ours ----------------------------------------------------------------------------------


_INSTEAD: Final = {
    "restartPolicy": "retries",
    "activeDeadlineSeconds": "timeout",
    "resources": "resources",  # those of the Pod as a whole would come over the step's
}
"""Fields of a Pod's spec, and the fields of a step that say the same."""


def _reserved(template: Mapping[str, Any]) -> Iterator[Finding]:
    metadata = template.get("metadata") or {}
    for field in ("labels", "annotations"):
        for key in metadata.get(field) or {}:
            if key.startswith((f"{names.GROUP}/", "batch.kubernetes.io/")):
                message = f"the {field[:-1]} {key!r} is Nightcrawler's own and cannot be set"
                yield f"/metadata/{field}", message
    for field in ("name", "generateName", "namespace", "ownerReferences", "finalizers"):
        if field in metadata:
            yield f"/metadata/{field}", f"metadata.{field} of the Pod is Nightcrawler's to choose"
    spec = template.get("spec") or {}
    for field, instead in _INSTEAD.items():
        if field in spec:
            yield f"/spec/{field}", f"{field} cannot be set: use {instead} of the step"


def _containers(spec: Mapping[str, Any]) -> Iterator[Finding]:
    for container in spec.get("containers") or ():
        if container["name"] != names.STEP_CONTAINER:
            message = (
                f"the container {container['name']!r} would keep the step from ending; "
                "side-cars are initContainers with restartPolicy: Always"
            )
            yield "/spec/containers", message
        elif "resources" in container:
            message = "resources of the step belong in its own field resources, not in podTemplate"
            yield "/spec/containers", message
    for container in spec.get("initContainers") or ():
        if container["name"] == names.STEP_CONTAINER:
            yield "/spec/initContainers", f"an init container cannot be named {names.STEP_CONTAINER!r}"


# --- what the installation allows ------------------------------------------------------------------


def _not_allowed(spec: Mapping[str, Any], policy: PodPolicy) -> Iterator[Finding]:
    for where, what in _asked_for(spec, policy):
        yield where, f"{what} is not allowed by this installation"


def _asked_for(spec: Mapping[str, Any], policy: PodPolicy) -> Iterator[Finding]:
    if not policy.allow_service_account:
        yield from _set(spec, ("serviceAccountName", "serviceAccount", "automountServiceAccountToken"))
        yield from _volumes(
            spec, "projected", "the projected service-account token in the volume", _has_token
        )
    if not policy.allow_host_namespaces:
        yield from _set(spec, ("hostNetwork", "hostPID", "hostIPC"))
        for where, container in _all_containers(spec):
            if any(
                isinstance(port, Mapping) and port.get("hostPort") for port in container.get("ports") or ()
            ):
                yield where, f"the hostPort of the container {container['name']!r}"
    if not policy.allow_host_path:
        yield from _volumes(spec, "hostPath", "the hostPath volume", lambda _: True)
    if not policy.allow_privileged:
        for where, container in _all_containers(spec):
            if what := _privilege(container.get("securityContext") or {}):
                yield where, f"the {what} container {container['name']!r}"
        if _privilege(_object(spec.get("securityContext"))):
            yield "/spec/securityContext", "a Windows host process"


def _set(spec: Mapping[str, Any], fields: Iterable[str]) -> Iterator[Finding]:
    for field in fields:
        if spec.get(field):
            yield f"/spec/{field}", field


def _volumes(spec: Mapping[str, Any], kind: str, what: str, asks: Any) -> Iterator[Finding]:
    for volume in spec.get("volumes") or ():
        if kind in volume and asks(volume[kind]):
            yield "/spec/volumes", f"{what} {volume['name']!r}"


def _has_token(projected: object) -> bool:
    sources = _object(projected).get("sources")
    return isinstance(sources, list) and any("serviceAccountToken" in _object(source) for source in sources)


def _privilege(context: Mapping[str, Any]) -> str:
    """What makes a container more than others are: privileged, with added capabilities, a host process."""
    if context.get("privileged"):
        return "privileged"
    if _object(context.get("capabilities")).get("add"):
        return "capability-adding"
    return "host process" if _object(context.get("windowsOptions")).get("hostProcess") else ""


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
