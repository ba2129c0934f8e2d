"""How archive and kept logs are, as probes and the status of the installation show it."""

from __future__ import annotations

from nightcrawler_api.archive.contract import Archive
from nightcrawler_api.keeping.keeper import Keeper
from nightcrawler_api.keeping.kept import Kept
from nightcrawler_api.keeping.schemas import ArchiveHealth, KeptHealth, LogHealth
from nightcrawler_api.keptlogs.contract import LogHistory


def health_of(kept: Kept) -> KeptHealth:
    """The health of what a facade keeps."""
    found: KeptHealth = {}
    if kept.keeper is not None and kept.archive is not None:
        found["archive"] = _archive(kept.archive, kept.keeper)
    if kept.keeper is not None and kept.logs is not None:
        found["keptLogs"] = _logs(kept.logs, kept.keeper)
    return found


def _archive(archive: Archive, keeper: Keeper) -> ArchiveHealth:
    problem = keeper.problem or archive.problem
    found: ArchiveHealth = {"usable": not problem}
    if problem:
        found["detail"] = problem
    if keeper.working:
        backlog = archive.backlog
        found["waiting"], found["behindSeconds"] = backlog.waiting, round(backlog.seconds, 1)
    return found


def _logs(logs: LogHistory, keeper: Keeper) -> LogHealth:
    problem = keeper.problem or logs.problem
    return {"usable": False, "detail": problem} if problem else {"usable": True}
