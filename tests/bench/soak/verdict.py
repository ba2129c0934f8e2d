"""Whether a soak passed: every run has the right result, and nothing grows. Pure.

What grows is judged by a straight line (least squares) through the settled part: by how much it rises from
that part's beginning to its end. A rise counts if it is above its limit and twice its standard error.

The operator's memory is compared at equal ages, because each kill starts a new process: the last sample of
each process, over all processes; and also how it rises within one process.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.site import FACADE
from tests.bench.soak.samples import Sample

OPERATOR: Final = NIGHTCRAWLER.name
WARM: Final = 1 / 6
"""The share of a soak that is left out: caches and histories fill, and pools of connections."""
EVENTS_LIVE: Final = 300
"""Seconds that Events live in a soak. For an hour, as is usual, they would pile up all the while."""
WARM_LEAST: Final = EVENTS_LIVE + 60
"""Seconds that are left out of a short soak, too: Events are as many as later once the first expire."""
QUIET_AGE: Final = 30.0
"""Seconds after an operator is ready from when on its waits count: by then it has caught up."""
YOUNG: Final = 60.0
"""Seconds from when on the memory within a life is looked at."""
PSS_RISE_MB: Final = 6.0
LIFE_MB_PER_MIN: Final = 1.0
FDS_RISE: Final = 4.0
THREADS_RISE: Final = 2.0
LAG_RISE_S: Final = 1.0
HANDOVER_RISE_MS: Final = 15.0
OBJECTS_RISE: Final = 0.10
OBJECTS_LEAST: Final = 20.0
OUTAGE_S: Final = 25.0
"""The Lease of a killed leader must expire (15 s) before its successor may start."""

_COMPARED: Final = {"start_p50": "start", "handover_p50": "hand-over"}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `passed` is None where there is too little to say."""

    name: str
    value: float
    unit: str
    limit: float
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through points: how much it rises over them, how sure that is, and their median."""

    rise: float
    error: float
    level: float


def trend(points: Points) -> Trend | None:
    """The line through points of x and y; None if there are less than four."""
    if len(points) < 4:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    span = max(xs) - min(xs)
    if span <= 0:
        return None
    slope, intercept = statistics.linear_regression(xs, ys)
    rest = sum((y - intercept - slope * x) ** 2 for x, y in points)
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    error = math.sqrt(rest / (len(points) - 2) / spread)
    return Trend(slope * span, error * span, statistics.median(ys))


def judge(found: Mapping[str, Any], samples: Sequence[Sample]) -> list[Check]:
    """All checks of a soak, from its record."""
    settled = _settled(found, samples)
    quiet = _quiet(settled)
    ends = _last_of_lives(settled)
    return [
        *_runs(found),
        _rise("facade: memory", _pss(settled, FACADE), "MB", PSS_RISE_MB),
        _rise(
            "operator: memory at the end of a life, over its lives", _pss(ends, OPERATOR), "MB", PSS_RISE_MB
        ),
        _within_lives(settled),
        *_of_processes("descriptors", settled, lambda s, name: s.processes[name].fds, FDS_RISE),
        *_of_processes("threads", settled, lambda s, name: s.processes[name].threads, THREADS_RISE),
        _rise("lag: oldest run without a Pod", [(s.at, s.lag_s) for s in quiet], "s", LAG_RISE_S),
        _handover(quiet),
        *_objects(settled),
        *(_absence(found, quiet) if found["plan"].get("away") else ()),
    ]


def levels(found: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, float]:
    """The median of the windows' medians, in ms, of start and hand-over in the settled part of a soak."""
    return _levels(_quiet(_settled(found, samples)))


def passed(checks: Iterable[Check]) -> bool:
    """Whether no check failed; one with too little data has not."""
    return all(check.passed is not False for check in checks)


def _runs(found: Mapping[str, Any]) -> list[Check]:
    wrong: dict[str, int] = found["wrong"]
    unjudged = found["submitted"] - sum(found["runs"].values())
    refused = sum(n for status, n in found["facade"]["answers"].items() if status not in ("200", "404"))
    twice = sum(wrong.get(what, 0) for what in ("ran twice", "two at once", "late Pod"))
    checks = [
        _most("runs lost: not ended in time, or never judged", unjudged),
        _most("steps that ran twice", twice),
        _most("everything that was wrong with a run", sum(wrong.values())),
        _most("Jobs and Pods left when all runs had ended", sum(found["left"].values())),
        _most("answers of the facade but 200 (and 404 for runs that are gone)", refused),
        _most("lines of errors in the logs", sum(len(lines) for lines in found["trouble"].values())),
    ]
    if found["outages_s"]:
        checks.append(
            _most("longest from a kill until it works again", max(found["outages_s"]), "s", OUTAGE_S)
        )
    return checks


def _most(name: str, value: float, unit: str = "", limit: float = 0.0) -> Check:
    return Check(name, value, unit, limit, value <= limit)


def _rise(name: str, points: Points, unit: str, limit: float) -> Check:
    line = trend(points)
    if line is None:
        return Check(name, 0.0, unit, limit, None)
    return Check(name, round(line.rise, 2), unit, limit, line.rise <= max(limit, 2 * line.error))


def _pss(samples: Iterable[Sample], name: str) -> Points:
    return [(s.at, s.processes[name].pss_mb) for s in samples if name in s.processes]


def _within_lives(samples: Sequence[Sample]) -> Check:
    """The median, over the lives, of how memory rises in a minute of one that is warm."""
    slopes = []
    for life in {s.life for s in samples}:
        points = [(s.age, s.processes[OPERATOR].pss_mb) for s in samples if s.life == life and s.age >= YOUNG]
        if (line := trend(points)) is not None:
            slopes.append(line.rise / (points[-1][0] - points[0][0]) * 60)
    name = "operator: memory within a life, a minute"
    if not slopes:
        return Check(name, 0.0, "MB", LIFE_MB_PER_MIN, None)
    value = statistics.median(slopes)
    return Check(name, round(value, 2), "MB", LIFE_MB_PER_MIN, value <= LIFE_MB_PER_MIN)


def _of_processes(
    what: str, samples: Sequence[Sample], of: Callable[[Sample, str], int], limit: float
) -> list[Check]:
    checks = []
    for title, name, at_work in (
        ("facade", FACADE, list(samples)),
        ("operator", OPERATOR, [s for s in samples if s.age >= QUIET_AGE]),
    ):
        points = [(s.at, float(of(s, name))) for s in at_work if name in s.processes]
        checks.append(_rise(f"{title}: {what}", points, "", limit))
    return checks


def _handover(samples: Iterable[Sample]) -> Check:
    points = [(s.at, s.waits_ms["handover_p50"]) for s in samples if "handover_p50" in s.waits_ms]
    line = trend(points)
    limit = max(HANDOVER_RISE_MS, 0.25 * line.level) if line else HANDOVER_RISE_MS
    return _rise("hand-over: median of a window", points, "ms", round(limit, 1))


def _levels(quiet: Sequence[Sample]) -> dict[str, float]:
    return {
        name: round(statistics.median(of), 1)
        for name in _COMPARED
        if (of := [s.waits_ms[name] for s in quiet if name in s.waits_ms])
    }


def _absence(found: Mapping[str, Any], quiet: Sequence[Sample]) -> list[Check]:
    """Whether what is away moves what should not depend on it, against a soak in which nothing is away."""
    before: Mapping[str, float] = found.get("before", {})
    now = _levels(quiet)
    checks = [_most("nothing was given up, although both were away", int(not found["given_up"]))]
    for name, title in _COMPARED.items():
        limit = round(max(HANDOVER_RISE_MS, 0.25 * before.get(name, 0.0)), 1)
        what = f"{title}: median, more than with both there"
        if name in now and name in before:
            checks.append(_most(what, round(now[name] - before[name], 1), "ms", limit))
        else:
            checks.append(Check(what, 0.0, "ms", limit, None))
    return checks


def _objects(samples: Sequence[Sample]) -> list[Check]:
    checks = []
    for plural in samples[-1].objects if samples else ():
        points = [(s.at, float(s.objects[plural])) for s in samples]
        line = trend(points)
        limit = max(OBJECTS_LEAST, OBJECTS_RISE * line.level) if line else OBJECTS_LEAST
        checks.append(_rise(f"objects: {plural}", points, "", round(limit)))
    return checks


def _settled(found: Mapping[str, Any], samples: Sequence[Sample]) -> list[Sample]:
    warm = max(WARM * found["plan"]["minutes"] * 60, WARM_LEAST)
    return [s for s in samples if s.at >= warm and _under_load(s, found)]


def _quiet(settled: Sequence[Sample]) -> list[Sample]:
    return [s for s in settled if s.age >= QUIET_AGE]


def _under_load(sample: Sample, found: Mapping[str, Any]) -> bool:
    return bool(sample.at <= found["plan"]["minutes"] * 60)


def _last_of_lives(samples: Sequence[Sample]) -> list[Sample]:
    """The last sample of each life that grew old enough to be compared; all samples of an only one."""
    lives: dict[int, Sample] = {}
    for sample in samples:
        if sample.age >= 0:
            lives[sample.life] = sample
    if len(lives) < 2:
        return list(samples)
    oldest = max(s.age for s in lives.values())
    return [s for s in lives.values() if s.age >= 0.8 * oldest]
