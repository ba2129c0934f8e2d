"""The building blocks of the allow-list: which values a field accepts, and on which conditions.

The allow-list is data; `check` compares a podTemplate with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds.validation.podtemplate.policy import Power


@dataclass(frozen=True, slots=True)
class Form:
    """A form of text: `fits` tests it, `sentence` says what is wrong and what to do."""

    fits: Callable[[str], bool]
    sentence: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string that fits all of these forms."""

    forms: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few strings.

    Attributes:
        values: Those that are always allowed.
        guarded: Others, and the power that each needs.
        others: The power that allows any string; None if there is none.
        otherwise: Why others are refused; unset: the values are listed.
    """

    values: tuple[str, ...]
    guarded: Mapping[str, Power] = field(default_factory=dict)
    others: Power | None = None
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; true needs `power`."""

    power: Power | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    least: int = 0
    most: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Quantity:
    """A Kubernetes quantity: 500m, 1.5, 64Mi."""


@dataclass(frozen=True, slots=True)
class PortOrName:
    """A port's number, or its name."""


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with arbitrary keys, which must fit the forms in `keys`."""

    values: Text | Quantity
    keys: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list.

    Attributes:
        items: The type of its items.
        key: The fields that together identify an item, with their defaults.
        least: The minimum number of items.
        most: The maximum number of items; None if there is none.
    """

    items: Node
    key: Mapping[str, str | None] = field(default_factory=dict)
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Object:
    """An object with named fields.

    Attributes:
        fields: Fields that may be set.
        refused: Other fields of Kubernetes, and why they may not be set.
        required: Fields that must be set.
        one_of: Exactly one of these must be set, or with `or_none` at most one.
    """

    fields: Mapping[str, Node]
    refused: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    or_none: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """An object whose type depends on the value of one of its fields."""

    field: str
    sorts: Mapping[str, Object]
    others: Object


@dataclass(frozen=True, slots=True)
class Guarded:
    """A field that needs a power whatever its value; `what` describes it, unless its name does."""

    power: Power
    value: Node
    what: str | None = None


Scalar = Text | Choice | Flag | Number | Quantity | PortOrName
Node = Scalar | MapOf | ListOf | Object | Variant | Guarded

TEXT: Final = Text()
FLAG: Final = Flag()
NUMBER: Final = Number()
WHOLE_64: Final = Number(most=2**63 - 1)
