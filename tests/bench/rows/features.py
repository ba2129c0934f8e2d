"""Features: what runs cost when all of them is kept and reported, and what each takes at rest.

On are messages by webhook and e-mail, traces, an archive in SQLite, kept logs in a folder, measured usage
and masked Secrets (`features`); off is none of it. All is in one cluster, and its receivers are processes
of this machine.

- `off_…` and `on_…`: hand-over as in its own row, in four turns: off, on, on, off, so that what changes
  with time is in both. After each turn every message, trace, log and row must have arrived.
- `off_mb`, `archive_on_mb`: PSS of operator and facade, just started, with nothing to do.
- `<feature>_mb`, `all_mb`: how much more that is than `off_mb` with one of them, and with all. The tables
  have the same once some runs have used it, as some libraries are loaded when they are first needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nightcrawler_crds import names
from nightcrawler_crds.kube.views import ExecutionView
from tests.bench.around import begin_anew, define, missing, surround, until_settled, with_logs
from tests.bench.engines import NAMESPACE
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.features import ALL, Around, Feature
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.load import refuse_failures, side_by_side, submit_many
from tests.bench.measured import Measured, Usage
from tests.bench.quiet import quiet_pss
from tests.bench.receivers import Receivers
from tests.bench.rows.handover import handovers
from tests.bench.shapes import chain
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_BOTH: Final = (NIGHTCRAWLER.name, FACADE)
_MEASURED_SECONDS: Final = 2.0
"""How long the steps of the runs last that use a feature before memory is looked at."""
OFF: Final = "off"
ON: Final = "on"
EVERYTHING: Final = "all"
_TURNS: Final = (OFF, ON, ON, OFF)


@dataclass
class Waits:
    """Hand-overs of several turns in seconds, few chains at once and many; CPU time; how many steps ran."""

    few: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    usage: list[Mapping[str, Usage]] = field(default_factory=list)
    steps: int = 0


Levels = Mapping[str, float]
"""Memory in MB of operator and facade together, by which feature is on."""


@dataclass
class _Place:
    """Where it is measured."""

    here: Site
    seen: Seen
    around: Around
    receivers: Receivers
    sizes: Sizes

    async def told(self, on: Collection[Feature], before: Mapping[str, int], runs: int) -> None:
        """Wait until all is done for the runs so far; raises if something of so many has not arrived."""
        await until_settled(self.here)
        if lacking := missing(on, before, await self.receivers.taken(), runs):
            raise RuntimeError(f"the receivers got only {lacking}")


async def measure(sizes: Sizes) -> Measured:
    """Hand-over with everything off and on, and what each feature takes of memory at rest."""
    with tempfile.TemporaryDirectory(prefix="nightcrawler-features-") as name:
        folder = Path(name)
        async with (
            site(operator=False, arguments=with_logs(folder)) as here,
            watching(here) as seen,
        ):
            place = _Place(here, seen, *await surround(here, folder), sizes)
            fresh, used = await _memory(place)
            waits = {OFF: Waits(), ON: Waits()}
            for number, what in enumerate(_TURNS):
                await _turn(place, f"{what}-{number}", ALL if what == ON else (), waits[what])
            pods = await refuse_failures(here, seen)
    return Measured(
        {**waits_of(waits), **memory_of(fresh)},
        summed(waits[ON].usage),
        {
            f"% of hand-overs by ms: {count} chains, {what}": distribution(found)
            for what, of in waits.items()
            for count, found in ((sizes.chains_few, of.few), (sizes.chains_many, of.many))
        },
        {
            "MB more than off, just started": more(fresh),
            "MB more than off, once used": more(used),
            **{f"CPU, ms a step: {what}": _cpu_a_step(of) for what, of in waits.items()},
        },
        pods=pods,
    )


def waits_of(waits: Mapping[str, Waits]) -> dict[str, float]:
    """The figures of hand-over with everything off and on, and how many times longer the median is on."""
    found = {}
    for what, of in waits.items():
        for key, seconds in (("", of.few), ("at50_", of.many)):
            found[f"{what}_{key}p50_ms"] = milliseconds(percentile(seconds, 0.5))
            found[f"{what}_{key}p99_ms"] = milliseconds(percentile(seconds, 0.99))
    for key in ("p50", "at50_p50"):
        found[f"{key}_times"] = round(found[f"{ON}_{key}_ms"] / found[f"{OFF}_{key}_ms"], 2)
    return found


def memory_of(fresh: Levels) -> dict[str, float]:
    """The figures of memory of processes that have just been started."""
    return {
        "off_mb": round(fresh[OFF], 1),
        "archive_on_mb": round(fresh["archive"], 1),
        **{f"{name}_mb": found for name, found in more(fresh).items()},
    }


def more(levels: Levels) -> dict[str, float]:
    """How much more than off each is."""
    return {name: round(mb - levels[OFF], 2) for name, mb in levels.items() if name != OFF}


def summed(usages: Iterable[Mapping[str, Usage]]) -> dict[str, Usage]:
    """The CPU time of several turns together, and the memory at the end of the last one."""
    found: dict[str, Usage] = {}
    for usage in usages:
        for name, one in usage.items():
            before = found[name].cpu_seconds if name in found else 0.0
            found[name] = Usage(round(before + one.cpu_seconds, 3), one.pss_mb)
    return found


def _cpu_a_step(of: Waits) -> dict[str, float]:
    usage = summed(of.usage).items()
    return {name: round(one.cpu_seconds * 1000 / of.steps, 2) for name, one in usage}


async def _memory(place: _Place) -> tuple[Levels, Levels]:
    """With each feature by itself, and all: just started, and after some runs that use it."""
    here = place.here
    fresh, used = {}, {}
    cases: dict[str, tuple[Feature, ...]] = {OFF: (), **{name: (name,) for name in ALL}, EVERYTHING: ALL}
    for name, on in cases.items():
        await begin_anew(here, on, place.around)
        fresh[name] = sum((await quiet_pss(here, _BOTH)).values())
        before = await place.receivers.taken()
        workflow = await define(here, f"use-{name}", chain(2, _MEASURED_SECONDS), on)
        runs = await submit_many(here, workflow, f"use-{name}", place.sizes.features_runs)
        await place.seen.until_ended(runs, 120)
        await place.told(on, before, len(runs))
        used[name] = sum((await quiet_pss(here, _BOTH)).values())
    # What follows is to have none of these runs.
    await place.seen.until(lambda: place.seen.succeeded.keys() >= place.seen.created.keys(), 30)
    left = await here.store.list_all(names.EXECUTIONS, NAMESPACE, ExecutionView)
    await side_by_side(here.store.delete(names.EXECUTIONS, NAMESPACE, run.metadata.name) for run in left)
    return fresh, used


async def _turn(place: _Place, name: str, on: Collection[Feature], waits: Waits) -> None:
    """Hand-overs with these features, by processes that have just been started and are warm."""
    here, seen, sizes = place.here, place.seen, place.sizes
    await begin_anew(here, on, place.around)
    before = await place.receivers.taken()
    workflow = await define(here, name, chain(sizes.chain_steps, 0.1), on)
    await handovers(here, seen, workflow, f"{name}-warm", sizes.chains_few)
    meter = Meter(here.processes)
    for number in range(sizes.chains_few_rounds):
        waits.few += await handovers(here, seen, workflow, f"{name}-few-{number}", sizes.chains_few)
    waits.many += await handovers(here, seen, workflow, f"{name}-many", sizes.chains_many)
    runs = sizes.chains_few * sizes.chains_few_rounds + sizes.chains_many
    waits.steps += runs * sizes.chain_steps
    # What is owed to the last runs is part of the cost, though no step waits for it.
    await place.told(on, before, sizes.chains_few + runs)
    waits.usage.append(meter.read())
