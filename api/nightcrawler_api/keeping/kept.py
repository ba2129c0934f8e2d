"""What a facade keeps of runs, as the rest of it knows it; all None if nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass

from nightcrawler_api.archive.contract import Archive
from nightcrawler_api.audit.contract import Records
from nightcrawler_api.keeping.keeper import Keeper
from nightcrawler_api.keptlogs.contract import LogHistory


@dataclass(frozen=True, slots=True)
class Kept:
    """The archive, the kept logs, audit records, and what fills all of them."""

    archive: Archive | None = None
    logs: LogHistory | None = None
    records: Records | None = None
    keeper: Keeper | None = None
