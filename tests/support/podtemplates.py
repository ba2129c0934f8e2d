"""podTemplates that hypothesis makes from the allow-list, and paths in them to break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st

from nightcrawler_crds.building.job import job
from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_crds.validation.podtemplate import Level, PodPolicy
from nightcrawler_crds.validation.podtemplate.fields import POD_TEMPLATE
from nightcrawler_crds.validation.podtemplate.grammar import (
    Choice,
    Flag,
    Guarded,
    ListOf,
    MapOf,
    Node,
    Number,
    Object,
    PortOrName,
    Quantity,
    Text,
    Variant,
)
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import EXECUTION, EXECUTION_UID, a_spec, a_step

Json = dict[str, Any]
Place = tuple[str | int, ...]

RUNTIME_CLASS: Final = "nothing-special"

_TEXTS: Final[dict[str, list[Any]]] = {
    "audience": ["vault"],
    "claimName": ["data", "models"],
    "apiGroup": [""],
    "command": ["true", "sh"],
    "containerName": ["step"],
    "devicePath": ["/dev/a"],
    "fieldPath": ["metadata.name", "metadata.namespace"],
    "fsGroupChangePolicy": ["Always", "OnRootMismatch"],
    "image": ["busybox:1"],
    "ip": ["10.0.0.1", "10.0.0.2"],
    "kind": ["PersistentVolumeClaim"],
    "level": ["s0:c123,c456"],
    "localhostProfile": ["profiles/tight"],
    "mountPath": ["/data", "/code", "/scratch"],
    "name": ["a", "b", "scratch"],
    "nameservers": ["10.0.0.53"],
    "path": ["a", "b/c"],
    "reference": ["registry.example.com/models:1"],
    "resource": ["limits.cpu", "requests.memory"],
    "runAsUserName": ["ContainerUser"],
    "runtimeClassName": [RUNTIME_CLASS],
    "searches": ["example.com"],
    "subPath": ["a", "b/c"],
    "subPathExpr": ["a/$(NIGHTCRAWLER_STEP)"],
    "terminationMessagePath": ["/dev/termination-log"],
    "topologyKey": ["topology.kubernetes.io/zone", "kubernetes.io/hostname"],
    "value": ["1", ""],
}
_OTHER_TEXTS: Final = ["a", "b"]
_KEYS: Final = ["team", "example.com/role"]
_NUMBERS: Final = {"seconds": [1], "terminationGracePeriodSeconds": [2, 30], "weight": [1, 100]}
_AMOUNTS: Final = [{"cpu": "100m"}, {"memory": "64Mi"}]
_CLAIMED: Final = {"requests": {"storage": "1Gi"}}
_FEW: Final = 3
"""How many of the fields of an object that may be left out are there at most, so that it stays small."""
_SIZES: Final = ["16Mi", 1048576]


def templates() -> st.SearchStrategy[Json]:
    """PodTemplates with nothing in them that takes a power, and that the API server takes too."""
    return _of(POD_TEMPLATE, "").map(_consistent)


def places(template: Json) -> Iterator[tuple[Place, Any, Node]]:
    """Every value in a podTemplate: its path, itself, and its node of the allow-list."""
    yield from _places(POD_TEMPLATE, template, ())


def sort_of(node: Node, value: Any) -> Node:
    """The object, list or scalar that a node is, for this value."""
    if isinstance(node, Guarded):
        return sort_of(node.value, value)
    if isinstance(node, Variant):
        return node.sorts.get(value.get(node.field), node.others)
    return node


def _places(node: Node, value: Any, at: Place) -> Iterator[tuple[Place, Any, Node]]:
    chosen = sort_of(node, value)
    yield at, value, chosen
    match chosen:
        case Object():
            for name, inner in value.items():
                yield from _places(chosen.fields[name], inner, (*at, name))
        case ListOf():
            for index, item in enumerate(value):
                yield from _places(chosen.items, item, (*at, index))
        case MapOf():
            for key, inner in value.items():
                yield from _places(chosen.values, inner, (*at, key))
        case _:
            pass


# --- values --------------------------------------------------------------------------------------


def each_field() -> Iterator[tuple[str, Json]]:
    """For every field that takes no power, with its path: a podTemplate with it, and little else."""
    for path, template in _each(POD_TEMPLATE, ""):
        yield path, _consistent(template)


def _each(node: Node, name: str) -> Iterator[tuple[str, Any]]:
    """A value of a node for every field below it; the least value of the node comes first."""
    match node:
        case Variant():
            for value, sort in node.sorts.items():
                for path, made in _each(sort, name):
                    yield path, made | {node.field: value}
            yield from _each(node.others, name)
        case ListOf():
            for path, made in _each(node.items, name):
                yield path, [made]
        case Object():
            least = _least(node, name)
            yield "", least
            for field, inner in node.fields.items():
                if isinstance(inner, Guarded):
                    continue
                bare = {k: v for k, v in least.items() if field not in node.one_of or k not in node.one_of}
                for path, made in _each(inner, field):
                    yield f".{field}{path}", bare | {field: made}
        case Choice():
            for value in node.values:
                yield f"={value}", value
        case _:
            yield "", _least(node, name)


def _least(node: Node, name: str) -> Any:
    """A value of a node with what it must have, and no more."""
    match node:
        case Object():
            if name == "resources":
                return dict(_CLAIMED if node.required else {"limits": _AMOUNTS[0]})
            needed = [*node.required, *([] if node.or_none else node.one_of[:1])]
            return {field: _least(node.fields[field], field) for field in needed}
        case ListOf():
            return [_least(node.items, name)] if node.least else []
        case Variant():
            return _least(node.others, name)
        case MapOf():
            return _amounts(node) if isinstance(node.values, Quantity) else {_KEYS[0]: "a"}
        case Choice():
            return node.values[0]
        case Flag():
            return node.power is None
        case Number():
            return _NUMBERS.get(name, [max(node.least, min(1, node.most))])[0]
        case Quantity():
            return _SIZES[0]
        case PortOrName():
            return 80
        case _:
            return _TEXTS.get(name, _OTHER_TEXTS)[0]


def _amounts(node: MapOf) -> Json:
    """An amount of the one resource that a claim has, or else of memory."""
    resource = "storage" if all(form.fits("storage") for form in node.keys) else "memory"
    return {resource: _SIZES[0]}


def _of(node: Node, name: str) -> st.SearchStrategy[Any]:
    match node:
        case Object():
            return _object(node, name)
        case Variant():
            return st.one_of(
                _object(node.others, name),
                *(
                    _object(sort, name).map(partial(_having, node.field, value))
                    for value, sort in node.sorts.items()
                ),
            )
        case ListOf():
            items = _of(node.items, name)
            return st.lists(items, min_size=node.least, max_size=node.most or 2).map(
                lambda made: _differing(node, made)
            )
        case MapOf():
            free = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(["", "a"]), max_size=2)
            return st.just(_amounts(node)) if isinstance(node.values, Quantity) else free
        case Choice():
            return st.sampled_from(node.values)
        case Flag():
            return st.booleans() if node.power is None else st.just(False)
        case Number():
            usual = [number for number in (node.least, 1, 5, node.most) if node.least <= number <= node.most]
            return st.sampled_from(_NUMBERS.get(name, usual))
        case Quantity():
            return st.sampled_from(_SIZES)
        case PortOrName():
            return st.sampled_from([80, "http"])
        case Text():
            return st.sampled_from(_TEXTS.get(name, _OTHER_TEXTS))
        case Guarded():
            raise AssertionError("what takes a power is left out")


def _having(field: str, value: Any, made: Json) -> Json:
    return made | {field: value}


def _object(node: Object, name: str) -> st.SearchStrategy[Json]:
    free = {
        field: inner
        for field, inner in node.fields.items()
        if not isinstance(inner, Guarded) and field not in node.one_of
    }
    if name == "resources":
        return st.sampled_from([_CLAIMED] if node.required else [{"limits": some} for some in _AMOUNTS])
    always = {field: _of(inner, field) for field, inner in free.items() if field in node.required}
    maybe = {field: _of(inner, field) for field, inner in free.items() if field not in node.required}
    made = st.fixed_dictionaries(always)
    if maybe:
        few = st.lists(st.sampled_from(sorted(maybe)), max_size=_FEW, unique=True)
        made = few.flatmap(lambda chosen: st.fixed_dictionaries({**always, **{f: maybe[f] for f in chosen}}))
    sources = [
        st.fixed_dictionaries({field: _of(node.fields[field], field)})
        for field in node.one_of
        if not isinstance(node.fields[field], Guarded)
    ]
    if not sources:
        return made
    chosen = st.one_of(st.just({}), *sources) if node.or_none else st.one_of(*sources)
    return st.tuples(made, chosen).map(lambda both: {**both[0], **both[1]})


def _differing(node: ListOf, items: list[Any]) -> list[Any]:
    """The items without those whose key stands there already."""
    if not node.key:
        return items
    by_key = {tuple(item.get(key, other) for key, other in node.key.items()): item for item in items}
    return list(by_key.values())


# --- what the API server wants beyond each field's own value -------------------------------------


def _consistent(template: Json) -> Json:
    """The same with fields that go together: the API server would refuse it otherwise."""
    made: Json = _adjusted(template, "")
    spec = made.get("spec", {})
    mounted: set[str] = set()
    devices: set[str] = set()
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        for device in container.get("volumeDevices", ()):
            device["name"] = "block"
            devices.add("block")
        mounted |= {mount["name"] for mount in container.get("volumeMounts", ())}
        named: set[str] = set()
        for port in container.get("ports", ()):
            if port.get("name") in named:
                del port["name"]
            named.add(port.get("name", ""))
    there = {volume["name"] for volume in spec.get("volumes", ())}
    more = [{"name": name, "emptyDir": {}} for name in sorted(mounted - there)]
    more += [{"name": name, "persistentVolumeClaim": {"claimName": "block"}} for name in sorted(devices)]
    if more:
        spec["volumes"] = [*spec.get("volumes", ()), *more]
    return made


def _adjusted(value: Any, name: str) -> Any:
    if isinstance(value, list):
        items = [_adjusted(item, name) for item in value]
        # Two sources could write one path; ReadWriteOncePod stands alone.
        return items[:1] if name in ("sources", "accessModes") else items
    if not isinstance(value, dict):
        return value
    made = {field: _adjusted(inner, field) for field, inner in value.items()}
    for names, adjust in _ADJUST.items():
        if name in names:
            adjust(made)
    return made


def _toleration(made: Json) -> None:
    if "key" not in made or made.get("operator") == "Exists":
        made.pop("value", None)
        made["operator"] = "Exists"
    if "tolerationSeconds" in made:
        made["effect"] = "NoExecute"


def _expression(made: Json) -> None:
    few = {"In": ["a"], "NotIn": ["a"], "Gt": ["1"], "Lt": ["1"]}
    made.pop("values", None)
    if made["operator"] in few:
        made["values"] = few[made["operator"]]


def _profile(made: Json) -> None:
    if made["type"] == "Localhost":
        made["localhostProfile"] = "profiles/tight"
    else:
        made.pop("localhostProfile", None)


def _mount(made: Json) -> None:
    if made.get("recursiveReadOnly", "Disabled") != "Disabled":
        made["readOnly"] = True
        made.pop("mountPropagation", None)


def _label_keys(made: Json) -> None:
    for keys in ("matchLabelKeys", "mismatchLabelKeys"):
        if keys in made:
            made[keys] = ["pod-template-hash" if keys == "matchLabelKeys" else "tenant"]
            made["labelSelector"] = {"matchLabels": {"team": "a"}}
    # Not the other way round: two constraints that differ in this could become alike.
    if made.get("whenUnsatisfiable") != "DoNotSchedule":
        made.pop("minDomains", None)


def _spec(made: Json) -> None:
    if made.get("dnsPolicy") == "None":
        made["dnsConfig"] = {**made.get("dnsConfig", {}), "nameservers": ["10.0.0.53"]}


def _downward(made: Json) -> None:
    if "resourceFieldRef" in made:
        made["resourceFieldRef"]["containerName"] = "step"


def _amount(made: Json) -> None:
    made["divisor"] = "1Mi" if made["resource"].endswith(".memory") else "1"


_ADJUST: Final[dict[tuple[str, ...], Callable[[Json], None]]] = {
    ("tolerations",): _toleration,
    ("matchExpressions",): _expression,
    ("seccompProfile", "appArmorProfile"): _profile,
    ("volumeMounts",): _mount,
    (
        "topologySpreadConstraints",
        "podAffinityTerm",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ): _label_keys,
    ("spec",): _spec,
    ("items",): _downward,
    ("resourceFieldRef",): _amount,
}


# --- the Pod -------------------------------------------------------------------------------------

ENVIRONMENT: Final[Json] = {
    "nodeSelector": {"pool": "lab"},
    "tolerations": [{"key": "lab", "operator": "Exists"}],
}


def pod_of(template: Json, level: Level = "privileged") -> Json:
    """The Pod that the operator builds from a podTemplate, in an Environment with a selector of its own."""
    step = a_step("train", podTemplate=template, resources={"ephemeralStorage": "1 GB"})
    run = Run(
        execution=EXECUTION,
        execution_uid=EXECUTION_UID,
        namespace="baseline",
        workflow="wf",
        revision=Revision("wf-rev", a_spec(step)),
        parameters={"epochs": 3},
        environment=EnvironmentSpec.model_validate(ENVIRONMENT),
    )
    limits = Limits(pod_policy=PodPolicy(level=level))
    made = job(run, NewJob("train", 1, "train-1"), limits)["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **made, "metadata": {**made["metadata"], "name": "train-1"}}
