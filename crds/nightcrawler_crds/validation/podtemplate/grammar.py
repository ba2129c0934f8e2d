"""The words in which the allow-list is written: what values a field takes, and what else keeps it out.

A list of allowed fields is data: nothing here looks at a podTemplate; `check` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds.validation.podtemplate.policy import Power


@dataclass(frozen=True, slots=True)
class Form:
    """What a text must look like: `fits` tells, `sentence` says what is wrong and what to do."""

    fits: Callable[[str], bool]
    sentence: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text that fits all of these forms."""

    forms: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few texts.

    Attributes:
        values: Those that everybody may use.
        guarded: Further ones, and the power that each takes.
        others: The power with which any text is taken; None if there is no such power.
        otherwise: Why no other one is taken; unset: the values are listed.
    """

    values: tuple[str, ...]
    guarded: Mapping[str, Power] = field(default_factory=dict)
    others: Power | None = None
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; `power` is what it takes to say true."""

    power: Power | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    least: int = 0
    most: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount as Kubernetes writes it: 500m, 1.5, 64Mi."""


@dataclass(frozen=True, slots=True)
class PortOrName:
    """A port's number, or its name."""


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are free; `keys` is what they must look like."""

    values: Text | Quantity
    keys: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list.

    Attributes:
        items: What its items are.
        key: The fields that no two items may share all of, with what an item has that leaves one out.
        least: How many items it must have.
    """

    items: Node
    key: Mapping[str, str | None] = field(default_factory=dict)
    least: int = 0


@dataclass(frozen=True, slots=True)
class Object:
    """An object with named fields.

    Attributes:
        fields: Those that may be set.
        refused: Those that Kubernetes has beside them, and why they may not be set.
        required: Those that must be there.
        one_of: Of these exactly one must be there, or with `or_none` at most one.
    """

    fields: Mapping[str, Node]
    refused: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    or_none: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """An object that is of one sort or another, by the value of a field that all sorts have."""

    field: str
    sorts: Mapping[str, Object]
    others: Object


@dataclass(frozen=True, slots=True)
class Guarded:
    """A field that takes a power whatever its value; `what` says what it is, unless its name does."""

    power: Power
    value: Node
    what: str | None = None


Scalar = Text | Choice | Flag | Number | Quantity | PortOrName
Node = Scalar | MapOf | ListOf | Object | Variant | Guarded

TEXT: Final = Text()
FLAG: Final = Flag()
NUMBER: Final = Number()
WHOLE_64: Final = Number(most=2**63 - 1)
