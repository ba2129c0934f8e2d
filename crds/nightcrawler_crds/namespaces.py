"""A set of namespaces: some by their names, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Some namespaces, or all but one.

    Attributes:
        names: Which; None: all.
        hidden: The one that does not belong to all.
    """

    names: frozenset[str] | None = frozenset()
    hidden: str | None = None

    def __contains__(self, namespace: str) -> bool:
        """Whether a namespace is one of them."""
        return namespace != self.hidden if self.names is None else namespace in self.names


NOWHERE: Final = Namespaces()
"""None of them."""
