"""What must hold of schedules at every write: each time is counted exactly once. Slow, and independent."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from tests.support.modelserver import Json, ModelServer
from tests.support.referencetimes import MINUTE, times_between

_COUNT: Final = re.compile(r"(more than )?(\d+) times? up to ")
_HOUR: Final = timedelta(hours=1)
CONVERTED: Final = {"DeadlineExceeded", "Replaced", "NameTaken"}
"""Why a time that was recorded as Started can turn out to have no run."""


@dataclass
class Tally:
    """What was counted for one workflow, by its UID."""

    outcomes: dict[datetime, str] = field(default_factory=dict)
    runs_made: Counter[str] = field(default_factory=Counter)
    owed_skips: int = 0
    started: set[datetime] = field(default_factory=set)


class ScheduleInvariants:
    """Checks every write about schedules."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.tallies: dict[str, Tally] = {}
        self.wrong_clock = False
        self.counted: Counter[str] = Counter()
        server.watchers.append(self.watch)

    def watch(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        """Check a write."""
        if resource == names.WORKFLOWS and old is not None and new is not None:
            self._workflow_written(old, new)
        elif resource == names.EXECUTIONS and old is None and new is not None:
            self._run_made(new)
        elif resource == names.EXECUTIONS and old is not None and new is not None:
            self._run_changed(old, new)

    def tally(self, uid: str) -> Tally:
        """The tally of a workflow."""
        return self.tallies.setdefault(uid, Tally())

    def _run_made(self, run: Json) -> None:
        if not self.server.by_the_operator:
            return
        [owner] = run["metadata"]["ownerReferences"]
        tally, time = self.tally(owner["uid"]), moment(run["spec"]["trigger"]["scheduledTime"])
        tally.runs_made[run["spec"]["trigger"]["scheduledTime"]] += 1
        # After a wrong clock, a time comes again; that it has run is not known once its run was pruned.
        once = tally.runs_made[run["spec"]["trigger"]["scheduledTime"]] == 1
        assert once or self.wrong_clock, f"{time} runs twice"
        assert tally.outcomes.get(time) == "Started", f"{time} runs, and is {tally.outcomes.get(time)}"
        schedule = self._schedule_of(owner["uid"])
        alone = (schedule or {}).get("concurrencyPolicy", "Forbid") in ("Forbid", "Replace")
        if alone and schedule is not None and not self.wrong_clock:
            others = [r for r in self.server.of(names.EXECUTIONS).values() if is_live_run_of(r, owner["uid"])]
            assert not others, f"{time} runs beside {[o['metadata']['name'] for o in others]}"

    def _schedule_of(self, uid: str) -> Json | None:
        there = [w for w in self.server.of(names.WORKFLOWS).values() if w["metadata"]["uid"] == uid]
        return there[0]["spec"].get("config", {}).get("schedule") if there else None

    def _run_changed(self, old: Json, new: Json) -> None:
        if old.get("status", {}).get("phase") != "Failed" and new.get("status", {}).get("phase") == "Failed":
            for owner in new["metadata"]["ownerReferences"]:
                schedule = self._schedule_of(owner["uid"])
                if schedule and schedule.get("skipOnFailure"):
                    self.tally(owner["uid"]).owed_skips = 1

    def _workflow_written(self, old: Json, new: Json) -> None:
        before, after = (one.get("status", {}).get("schedule") or {} for one in (old, new))
        tally = self.tally(new["metadata"]["uid"])
        if before == after or not after:
            return
        if before.get("specHash") != after["specHash"]:
            assert moment(after["anchor"]) <= self.server.now, "a changed schedule starts now"
            tally.owed_skips = 0
            before = {**after, "recent": before.get("recent", []), "lastScheduledTime": after["anchor"]}
        decided = moment(before["lastScheduledTime"])
        if moment(after["lastScheduledTime"]) < decided:
            assert decided >= self.server.now + _HOUR, "what was decided is decided again"
            assert after["message"], "a wrong clock is reported"
            self.wrong_clock = True
            decided = moment(after["anchor"])
            return
        self._outcomes_written(new, tally, before, after, decided)

    def _outcomes_written(
        self, workflow: Json, tally: Tally, before: Json, after: Json, decided: datetime
    ) -> None:
        was = list(before.get("recent", []))
        fresh = []
        for entry in after.get("recent", []):
            known = next((e for e in was if _which(e) == _which(entry)), None)
            if known is None:
                fresh.append(entry)
                continue
            was.remove(known)  # after a wrong clock, a time may come again
            if known["outcome"] != entry["outcome"]:
                self._converted(tally, known, entry)
        until = moment(after["lastScheduledTime"])
        due = self._reference(workflow, decided, until)
        for entry in fresh:
            time = moment(entry["time"])
            if time <= decided:
                assert tally.outcomes.get(time) == "Started", (
                    "an old outcome comes back only for its run's end"
                )
                continue
            due = self._count(tally, entry, time, due)
        assert not due, f"not counted: {due[:3]}, in all {len(due)}; {after}"
        assert until <= max(self.server.now, decided), "the future is not decided on"

    def _count(self, tally: Tally, entry: Json, time: datetime, due: list[datetime]) -> list[datetime]:
        """Count a time, or several that were dropped together; returns those that are left."""
        group = _COUNT.match(entry.get("message", ""))
        if group:
            together = [one for one in due if one <= time]
            assert together, entry
            assert together[-1] == time, entry
            many, number = bool(group[1]), int(group[2])
            assert len(together) > number if many else len(together) == number, entry
        else:
            assert due, f"{entry} is no time of the schedule"
            assert due[0] == time, f"{entry}, and the next time is {due[0]}"
            together = [time]
        for one in together:
            assert one not in tally.outcomes or self.wrong_clock, f"{one} is counted twice"
            tally.outcomes[one] = entry["outcome"]
            if entry["outcome"] == "Started":
                tally.started.add(one)
        self.counted[f"{entry['outcome']} {entry.get('reason', '')}"] += len(together)
        self._skips(tally, entry)
        return due[len(together) :]

    def _skips(self, tally: Tally, entry: Json) -> None:
        if entry.get("reason") == "FailedBefore":
            assert tally.owed_skips or self.wrong_clock, "skipped without a failure"
            tally.owed_skips = 0

    def _converted(self, tally: Tally, known: Json, entry: Json) -> None:
        time = moment(entry["time"])
        if known["outcome"] == "Started":
            assert entry["outcome"] == "Dropped", (known, entry)
            assert entry["reason"] in CONVERTED, (known, entry)
            if entry["reason"] != "NameTaken":
                assert not tally.runs_made[entry["time"]], f"{time} has run"
        tally.outcomes[time] = entry["outcome"]

    def _reference(self, workflow: Json, begin: datetime, end: datetime) -> list[datetime]:
        """All times there are after one moment and up to another."""
        schedule = workflow["spec"]["config"]["schedule"]
        anchor = moment(workflow["status"]["schedule"]["anchor"])
        if schedule["type"] == "interval":
            seconds = int(schedule["interval"])
            first = anchor + timedelta(seconds=seconds)
            found = []
            while first <= end:
                if first > begin:
                    found.append(first)
                first += timedelta(seconds=seconds)
            return found
        low = begin.replace(second=0, microsecond=0) - MINUTE
        high = end.replace(second=0, microsecond=0)
        zone = ZoneInfo(schedule.get("timeZone", "UTC"))
        return [one for one in times_between(schedule["cron"], zone, low, high) if begin < one <= end]

    def at_the_end(self) -> None:
        """Every run that was made is counted as Started, and everything so counted has its run."""
        for uid, tally in self.tallies.items():
            started = {time for time, outcome in tally.outcomes.items() if outcome == "Started"}
            made = {moment(time) for time in tally.runs_made}
            # After a wrong clock, a time comes again and may be counted otherwise.
            counted = tally.started if self.wrong_clock else started
            assert made <= counted, f"{made - counted} have run and are not counted so"
            alive = any(w["metadata"]["uid"] == uid for w in self.server.of(names.WORKFLOWS).values())
            if alive and self._schedule_of(uid):
                taken = self.counted["Dropped NameTaken"]
                assert len(started - made) <= taken + 1 + self.wrong_clock * 1000, started - made


def _which(entry: Json) -> tuple[str, str]:
    return entry["time"], entry.get("execution", "")


def is_live_run_of(run: Json, uid: str) -> bool:
    """Whether a scheduled run of a workflow has not ended."""
    owners = {owner["uid"] for owner in run["metadata"].get("ownerReferences", ())}
    ended = run.get("status", {}).get("phase") in ("Completed", "Failed", "Cancelled")
    return uid in owners and not ended and run["spec"].get("trigger", {}).get("type") == "Schedule"


def moment(text: Any) -> datetime:
    """A time on the wire."""
    return datetime.fromisoformat(text).astimezone(UTC)
