"""Who is compared, and in which order they take their turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.engines import Engine
from tests.bench.engines.argo import PROFILES, Argo
from tests.bench.engines.nightcrawler import NIGHTCRAWLER

OURS: Final = "nightcrawler"
"""Our label."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One that takes part.

    Attributes:
        label: Its name in the figures.
        title: Its name for people.
        what: How it is set up, in words.
        version: What it says of itself; empty for ours, of which there is the commit.
    """

    label: str
    title: str
    what: str
    version: str
    engine: Engine

    @property
    def stamp(self) -> dict[str, str]:
        """What is kept of it beside its figures; `process` is its name in the usage."""
        return {
            "title": self.title,
            "what": self.what,
            "version": self.version,
            "process": self.engine.name,
        }


def contenders(
    controller: Path, crds: Path, profiles: Sequence[str], flags: Sequence[str] = ()
) -> list[Contender]:
    """Ours, then Argo's controller once a profile; `flags` come after those of the profile, and win."""
    found = [Contender(OURS, "Nightcrawler", "with its usual settings", "", NIGHTCRAWLER)]
    for name in profiles:
        profile = PROFILES[name].with_flags(flags)
        engine = Argo(controller, crds, profile)
        words = " ".join(f"`{flag}`" for flag in profile.flags)
        what = f"{profile.what}: requeue after {profile.requeue}" + (f", {words}" if words else "")
        found.append(Contender(f"argo-{name}", f"Argo, {name}", what, engine.version(), engine))
    return found


def turns(rows: Sequence[str], labels: Sequence[str], repeats: int) -> Iterator[tuple[str, str]]:
    """Pairs of row and label: all labels take a row before the next row comes.

    From one row to the next, and for each row from one turn to the next, they go the other way round, so
    that none always comes first.
    """
    for turn in range(repeats):
        for place, row in enumerate(rows):
            forward = (turn + place) % 2 == 0
            for label in labels if forward else reversed(labels):
                yield row, label
