"""What `config.security.permissions` grants: "Full Access", "View Only", "Execute, Edit"."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from nightcrawler_crds.words.grammar import WordError


class Access(StrEnum):
    """Something that a permission allows with a workflow and its runs."""

    VIEW = "View"
    EXECUTE = "Execute"
    """Run it, cancel its runs, and change, pause or resume its schedule."""
    EDIT = "Edit"
    DELETE = "Delete"
    FULL = "Full Access"
    """All of it, and changing who may do what."""


ACCESS_FORMS: Final = '"Full Access", "View Only", or any of View, Execute, Edit and Delete: "Execute, Edit"'

ALL: Final = frozenset(Access)
_BY_WORD: Final = {one.value.lower(): one for one in Access if one is not Access.FULL}
_ALONE: Final = {"full access": ALL, "view only": frozenset((Access.VIEW,))}


def parse_access(text: str) -> frozenset[Access]:
    """What a permission grants, in any case and order; every one grants View.

    Raises:
        WordError: It has other words; with those that there are.
    """
    words = [" ".join(word.lower().split()) for word in text.split(",")]
    if len(words) == 1 and words[0] in _ALONE:
        return _ALONE[words[0]]
    if unknown := [word for word in words if word not in _BY_WORD]:
        named = f"; it cannot have {unknown[0]!r}" if unknown[0] and len(words) > 1 else ""
        raise WordError(f"access {text!r} cannot be used{named}. Accepted: {ACCESS_FORMS}.")
    return frozenset(_BY_WORD[word] for word in words) | {Access.VIEW}
