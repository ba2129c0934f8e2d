"""What the words of YAML mean to kubectl, whose parser differs from PyYAML's; pure.

`y` and `on` are true, `1e3` and `0o7` are numbers, while `1:30` and dates are texts. The rules are those of
`resolve` in go-yaml 2, which sigs.k8s.io/yaml uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final[Mapping[str, bool | None]] = {
    **{
        form: value
        for words, value in {("y", "yes", "true", "on"): True, ("n", "no", "false", "off"): False}.items()
        for word in words
        for form in (word, word.capitalize(), word.upper())
    },
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_MERGE: Final = "<<"
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INT: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_PREFIX: Final = "tag:yaml.org,2002:"
_LONGEST: Final = 400
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
}


class NotJson(ValueError):
    """A value that JSON cannot say; the message continues "the body has"."""


def value_of(text: str, tag: str | None, *, plain: bool) -> Any:
    """The value of a scalar; `plain` if it has neither quotes nor a tag."""
    if plain:
        return _plain(text)
    kind = "str" if tag in (None, "!") else str(tag).removeprefix(_PREFIX)
    if kind in ("str", "timestamp"):
        return text
    value = _plain(text) if kind in _TYPES else None
    if kind not in _TYPES or type(value) not in _TYPES[kind]:
        raise NotJson(f"{text!r} with the tag {tag}, which cannot be read")
    return value


def key_of(text: str, tag: str | None, *, plain: bool) -> str:
    """The key that a scalar is; what YAML does not read as text must be quoted, unless it means itself."""
    value = value_of(text, tag, plain=plain)
    if isinstance(value, str) and not (plain and text == _MERGE):
        return value
    if text != _MERGE and text in (str(value), str(value).lower()):
        return text
    raise NotJson(f"the key {text!r}, which YAML does not read as text; put it in quotes")


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise NotJson(f"{text!r}, which is no number; put it in quotes if it is meant as text")
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST:
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if found := _INT.fullmatch(digits):
        sign, hexadecimal, binary, octal, decimal = found.groups()
        number = hexadecimal or binary or octal or decimal
        base = 16 if hexadecimal else 2 if binary else 8 if octal else 10
        return int(sign + number, base)
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        return text if value in (float("inf"), float("-inf")) else value
    return text
