"""Success rates, durations and waits of executions; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from math import fsum
from statistics import fmean
from typing import Final

from nightcrawler_api.archive.contract import Figures
from nightcrawler_api.executions.queries import GroupBy
from nightcrawler_api.executions.schemas import Cost
from nightcrawler_api.filters import shown_executor
from nightcrawler_api.state.ordering import Ordering
from nightcrawler_api.state.runs import Run
from nightcrawler_api.statistics.schemas import Spread, Statistics

_DAY_SECONDS: Final = 86_400


def figures_of(run: Run) -> Figures:
    """What statistics need of a cached execution."""
    cost = run.view.status.cost
    return Figures(
        run.status,
        run.view.spec.workflow_ref.name,
        run.started,
        None if run.ended is None else run.ended - run.started,
        None if run.view.status.start_time is None else run.started - run.order[0],
        run.environment,
        run.view.spec.executor,
        None if cost is None else cost.amount,
        None if cost is None else cost.currency,
        namespace=run.order[1],
    )


def statistics_of(runs: Sequence[Figures]) -> Statistics:
    """The statistics of some executions."""
    counts = Counter([run.status for run in runs])
    ended = counts["completed"] + counts["failed"] + counts["cancelled"]
    shown: Statistics = {
        "executions": len(runs),
        "running": len(runs) - ended,
        "completed": counts["completed"],
        "failed": counts["failed"],
        "cancelled": counts["cancelled"],
    }
    if judged := counts["completed"] + counts["failed"]:
        shown["successRate"] = round(counts["completed"] / judged, 4)
    durations = [run.duration for run in runs if run.status == "completed" and run.duration is not None]
    if durations:
        shown["durationSeconds"] = _spread(durations)
    waits = [run.wait for run in runs if run.wait is not None]
    if waits:
        shown["waitSeconds"] = _spread(waits)
    costs = _costs(runs)
    if len(costs) == 1:
        shown["cost"] = costs[0]
    elif costs:
        shown["costs"] = costs
    return shown


def _costs(runs: Iterable[Figures]) -> list[Cost]:
    """What they have cost together, in each currency."""
    amounts = dict[str | None, list[float]]()
    for run in runs:
        if run.cost is not None:
            amounts.setdefault(run.currency, []).append(run.cost)
    ordered = sorted(amounts.items(), key=lambda item: item[0] or "")
    found: list[Cost] = []
    for currency, some in ordered:
        cost: Cost = {"amount": round(fsum(some), 6)}
        found.append({**cost, "currency": currency} if currency else cost)
    return found


def grouped(runs: Iterable[Figures], by: GroupBy, default_user: str) -> dict[str, list[Figures]]:
    """Executions by what they have in common, in the order of that; it is empty if they have none."""
    key, found = _KEYS[by], dict[str, list[Figures]]()
    for run in runs:
        found.setdefault(key(run), []).append(run)
    if by == "executor":
        # Several words in specs are shown as one.
        shown = dict[str, list[Figures]]()
        for word, some in found.items():
            shown.setdefault(shown_executor(word, default_user), []).extend(some)
        found = shown
    return dict(sorted(found.items()))


def in_list_order(
    groups: Mapping[str, Sequence[Figures]], ordering: Ordering, now: datetime
) -> list[tuple[str, Sequence[Figures]]]:
    """Groups in the order in which the first execution of each is in a list; those without a value last."""
    value_of, pick = _VALUES[ordering.field], max if ordering.descending else min
    at = now.timestamp()

    def first(members: Sequence[Figures]) -> float | None:
        return pick((value for run in members if (value := value_of(run, at)) is not None), default=None)

    keyed = [(first(members), name, members) for name, members in groups.items()]
    valued = [one for one in keyed if one[0] is not None]
    # By name within one value: sorting is stable.
    valued.sort(key=lambda one: one[0] or 0.0, reverse=ordering.descending)
    return [(name, members) for _, name, members in (*valued, *(one for one in keyed if one[0] is None))]


@cache
def _day(number: int) -> str:
    """The date of a day by its number since 1970, in UTC; there are few, and many runs on each."""
    return f"{datetime.fromtimestamp(number * _DAY_SECONDS, UTC):%Y-%m-%d}"


def _day_of(run: Figures) -> str:
    return _day(int(run.started // _DAY_SECONDS))


_KEYS: Final[Mapping[GroupBy, Callable[[Figures], str]]] = {
    "day": _day_of,
    "month": lambda run: _day_of(run).rpartition("-")[0],
    "namespace": lambda run: run.namespace,
    "workflow": lambda run: run.workflow,
    "status": lambda run: run.status,
    "environment": lambda run: run.environment or "",
    "executor": lambda run: run.executor or "",
}


def _duration(run: Figures, now: float) -> float | None:
    if run.duration is not None:
        return run.duration
    return now - run.started if run.wait is not None else None


_VALUES: Final[Mapping[str, Callable[[Figures, float], float | None]]] = {
    "createdAt": lambda run, _: run.started - (run.wait or 0.0),
    "startTime": lambda run, _: run.started,
    "endTime": lambda run, _: None if run.duration is None else run.started + run.duration,
    "duration": _duration,
}


def _spread(seconds: list[float]) -> Spread:
    # Clocks of nodes may differ: a negative duration is none.
    ordered = sorted(max(one, 0.0) for one in seconds)
    return {
        "mean": round(fmean(ordered), 3),
        "median": _percentile(ordered, 0.5),
        "p95": _percentile(ordered, 0.95),
        "max": ordered[-1],
    }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed: the nearest of them, not one in between."""
    return ordered[max(-(-len(ordered) * int(share * 100) // 100) - 1, 0)]
