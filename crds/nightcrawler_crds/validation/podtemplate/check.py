"""Compares a podTemplate, which may be any JSON, with the allow-list, field by field. Pure."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from nightcrawler_crds.validation.podtemplate import level
from nightcrawler_crds.validation.podtemplate.containers import ENV_FROM, VALUE_FROM
from nightcrawler_crds.validation.podtemplate.fields import POD_TEMPLATE
from nightcrawler_crds.validation.podtemplate.forms import PORT_NAME, QUANTITY
from nightcrawler_crds.validation.podtemplate.grammar import (
    Choice,
    Flag,
    Form,
    Guarded,
    ListOf,
    MapOf,
    Node,
    Number,
    Object,
    PortOrName,
    Quantity,
    Scalar,
    Text,
    Variant,
)
from nightcrawler_crds.validation.podtemplate.policy import PodPolicy, Power

Located = tuple[str, str]
"""A JSON pointer, and a sentence that names the same place as a path with dots."""

_Place = tuple[str | int, ...]
_Found = Iterator[tuple[_Place, str]]

_DIRECTIVES: Final = "$"
"""The prefix of patch directives such as `$patch` and `$retainKeys`."""
_LISTED: Final = 15
"""The most fields that a sentence lists."""
_GUESSED: Final = 64
"""The longest misspelt name for which a correction is suggested."""
_SHOWN: Final = 60
"""The most characters of a value that a sentence repeats."""


def template_problems(template: Mapping[str, Any], policy: PodPolicy) -> Iterator[Located]:
    """Everything wrong with a podTemplate, in the order in which it is written."""
    beyond = level.against(template, policy.level)
    return _located("podTemplate", itertools.chain(_check(POD_TEMPLATE, template, (), policy), beyond))


def env_problems(
    value_from: Iterable[Mapping[str, Any] | None], env_from: Iterable[Mapping[str, Any]], policy: PodPolicy
) -> Iterator[Located]:
    """What is wrong with the sources of a step's own variables; pointers are into the step.

    `value_from` has an item for each variable, None for one with a value.
    """
    for index, source in enumerate(value_from):
        if source is not None:
            yield from _located("", _check(VALUE_FROM, source, ("env", index, "valueFrom"), policy))
    for index, source in enumerate(env_from):
        yield from _located("", _check(ENV_FROM, source, ("envFrom", index), policy))


def selector_problems(
    template: Mapping[str, Any], environment: str | None, selector: Mapping[str, str]
) -> Iterator[Located]:
    """Where the nodeSelector of an otherwise valid podTemplate contradicts the Environment's."""
    wanted = (template.get("spec") or {}).get("nodeSelector") or {}
    for label, value in wanted.items():
        there = selector.get(label, value)
        if there != value:
            sentence = (
                f"asks for nodes with {value!r}, and those of the environment {environment!r} "
                f"have {there!r}; change it, or run in another environment"
            )
            yield from _located("podTemplate", iter([(("spec", "nodeSelector", label), sentence)]))


def _located(root: str, found: _Found) -> Iterator[Located]:
    for place, sentence in found:
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)
        yield pointer, f"{_path(root, place)}: {sentence}"


def _path(root: str, place: _Place) -> str:
    """As people write it: podTemplate.spec.containers[0].image."""
    path = root
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() or part.startswith(_DIRECTIVES):
            path += f".{_short(part)}" if path else _short(part)
        else:
            path += f"[{_quoted(part)}]"
    return path


# --- by kind of value ------------------------------------------------------------------------------


def _check(node: Node, value: Any, at: _Place, policy: PodPolicy) -> _Found:
    if value is None:
        yield (
            at,
            "must not be null: leave it out; what Nightcrawler or the Environment sets cannot be removed",
        )
        return
    match node:
        case Guarded():
            if not policy.allows(node.power):
                yield at, _needs(node.power, node.what or "it")
            else:
                yield from _check(node.value, value, at, policy)
        case Object():
            yield from _object(node, value, at, policy)
        case Variant():
            sort = value.get(node.field) if isinstance(value, Mapping) else None
            chosen = node.sorts.get(sort, node.others) if isinstance(sort, str) else node.others
            yield from _object(chosen, value, at, policy)
        case ListOf():
            yield from _list(node, value, at, policy)
        case MapOf():
            yield from _map(node, value, at, policy)
        case _:
            if (sentence := _scalar(node, value, policy)) is not None:
                yield at, sentence


def _object(node: Object, value: Any, at: _Place, policy: PodPolicy) -> _Found:
    if not isinstance(value, Mapping):
        yield at, _wants("an object", value)
        return
    for name, inner in value.items():
        if name in node.fields:
            yield from _check(node.fields[name], inner, (*at, name), policy)
        elif name in node.refused:
            yield (*at, name), f"cannot be set: {node.refused[name]}"
        elif name.startswith(_DIRECTIVES):
            yield (*at, name), "is a patch directive, which has no meaning here: leave it out"
        else:
            yield (*at, name), _unknown(name, node)
    known = value.keys() <= node.fields.keys()  # else the missing field may be the misspelt one
    for name in node.required:
        if name not in value and known:
            yield at, f"needs {name!r}: add it"
    given = [name for name in value if name in node.one_of]
    if len(given) > 1:
        yield at, f"may have only one of {_any_of(given)}: leave the others out"
    elif node.one_of and not given and not node.or_none and known:
        yield at, f"needs one of {_any_of(node.one_of)}: add it"


def _list(node: ListOf, value: Any, at: _Place, policy: PodPolicy) -> _Found:
    if not isinstance(value, list):
        yield at, _wants("a list", value)
        return
    if len(value) < node.least:
        yield at, "must not be empty: leave it out, or fill it"
    if node.most is not None and len(value) > node.most:
        yield at, f"must not have more than {node.most} of its {len(value)} items"
    seen: set[tuple[Any, ...]] = set()
    for index, item in enumerate(value):
        yield from _check(node.items, item, (*at, index), policy)
        if node.key and (key := _key_of(node, item)) is not None:
            if key in seen:
                written = next(name for name in reversed([*node.key]) if name in item)
                sentence = f"is there twice: items of this list must differ in {' or '.join(node.key)}"
                yield (*at, index, written), sentence
            seen.add(key)


def _key_of(node: ListOf, item: Any) -> tuple[Any, ...] | None:
    if not isinstance(item, Mapping):
        return None
    key = tuple(item.get(name, default) for name, default in node.key.items())
    return key if all(isinstance(part, str | int) for part in key) else None


def _map(node: MapOf, value: Any, at: _Place, policy: PodPolicy) -> _Found:
    if not isinstance(value, Mapping):
        yield at, _wants("an object", value)
        return
    for key, inner in value.items():
        if (sentence := _unfit(node.keys, key)) is not None:
            yield (*at, key), f"{_quoted(key)} {sentence}"
        else:
            yield from _check(node.values, inner, (*at, key), policy)


def _scalar(node: Scalar, value: Any, policy: PodPolicy) -> str | None:
    """What is wrong with a scalar; None if nothing is."""
    match node:
        case Text():
            if not isinstance(value, str):
                return _wants("text", value)
            sentence = _unfit(node.forms, value)
            return None if sentence is None else f"{_quoted(value)} {sentence}"
        case Choice():
            return _choice(node, value, policy)
        case Flag():
            if not isinstance(value, bool):
                return _wants("true or false", value)
            if value and node.power is not None and not policy.allows(node.power):
                return _needs(node.power, "true")
        case Number():
            return _number(node, value)
        case PortOrName():
            if isinstance(value, str) and PORT_NAME.fits(value):
                return None
            return (
                None
                if _number(_PORT, value) is None
                else _wants("a port from 1 to 65535, or its name", value)
            )
        case Quantity():
            amount = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if not amount and not (isinstance(value, str) and QUANTITY.fullmatch(value)):
                return _wants("an amount such as 500m, 2 or 64Mi", value)
    return None


_PORT: Final = Number(1, 65535)


def _choice(node: Choice, value: Any, policy: PodPolicy) -> str | None:
    if not isinstance(value, str):
        return _wants("text", value)
    if value in node.values:
        return None
    power = node.guarded.get(value, node.others)
    if power is None:
        return f"{_quoted(value)} {node.otherwise or f'cannot be used: use {_any_of(node.values)}'}"
    return None if policy.allows(power) else _needs(power, _quoted(value))


def _number(node: Number, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or not node.least <= value <= node.most:
        return _wants(f"a whole number from {node.least} to {node.most}", value)
    return None


def _unfit(forms: tuple[Form, ...], text: str) -> str | None:
    return next((form.sentence for form in forms if not form.fits(text)), None)


# --- sentences -------------------------------------------------------------------------------------


def _needs(power: Power, what: str) -> str:
    return f"{what} is not allowed by this installation: leave it out, or have {power.setting} set to true"


def _unknown(name: str, node: Object) -> str:
    """The sentence for an unknown field, with the most similar known one."""
    known = {known.lower(): known for known in (*node.refused, *node.fields)}
    near = difflib.get_close_matches(name.lower(), known, n=1) if len(name) <= _GUESSED else []
    if near:
        return f"there is no such field; is it {known[near[0]]!r} that was meant?"
    if len(node.fields) <= _LISTED:
        return f"there is no such field; there are: {', '.join(node.fields)}"
    return "there is no such field: leave it out"


def _wants(wanted: str, value: Any) -> str:
    return f"must be {wanted}, not {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else _short(str(value))


def _quoted(text: str) -> str:
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _any_of(names: tuple[str, ...] | list[str]) -> str:
    shown = [name or "''" for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
