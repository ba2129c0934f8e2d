"""Memory: what operator and facade hold, with nothing to do, with runs that have ended, with running ones.

The proportional set size of both together, each time once both have come to rest (`quiet`); the curves
have each by itself. Runs have five steps (`a`; `b`, `c`, `d`; `e`), of which the first runs and goes on.

- `base_mb`: both just started, in an empty cluster.
- `mb_per_1000_ended`: the ended runs are put in while the operator is away, as it would run them; the
  facade watches them come. The operator is started before and after, and should be no larger.
- `mb_per_1000_running`: from those to as many running ones as the sizes say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.bench.engines import Defined
from tests.bench.engines.nightcrawler import NIGHTCRAWLER, free_lease
from tests.bench.load import define, refuse_failures, submit_steadily
from tests.bench.measured import Measured
from tests.bench.past import make_ended, status_of_one
from tests.bench.quiet import quiet_pss
from tests.bench.running import A_DAY, until_running
from tests.bench.shapes import diamond
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.bench.timing import Seen, watching
from tests.bench.usage import Meter

_OPERATOR: Final = NIGHTCRAWLER.name
_BOTH: Final = (_OPERATOR, FACADE)

Levels = dict[int, Mapping[str, float]]
"""The PSS in MB of each process by how many runs there are."""


async def measure(sizes: Sizes) -> Measured:
    """`base_mb`, `mb_per_1000_running`, `mb_per_1000_ended`."""
    async with site(facade=True) as here, watching(here) as seen:
        base = await quiet_pss(here, _BOTH)
        ended = await _ended(here, seen, sizes.memory_ended)
        workflow = await define(here, "long", diamond(A_DAY))
        meter = Meter(here.processes)
        running: Levels = {0: ended[max(ended)]}
        for level in sizes.memory_running:
            await _run(here, seen, workflow, range(max(running), level))
            running[level] = await quiet_pss(here, _BOTH)
        usage = meter.read()
        await refuse_failures(here)
    return Measured(
        {
            "base_mb": round(sum(base.values()), 1),
            "mb_per_1000_running": per_1000(running),
            "mb_per_1000_ended": per_1000(ended),
        },
        usage,
        {
            **_curves("running", running),
            **_curves("ended", ended),
        },
    )


def per_1000(levels: Mapping[int, Mapping[str, float]]) -> float:
    """What a thousand more take, in MB, from the smallest to the largest level, all processes together."""
    least, most = min(levels), max(levels)
    grown = sum(levels[most].values()) - sum(levels[least].values())
    return round(grown * 1_000 / (most - least), 2)


def _curves(what: str, levels: Levels) -> dict[str, list[tuple[float, float]]]:
    return {
        f"PSS, MB by {what} runs: {name}": [(float(level), pss[name]) for level, pss in levels.items()]
        for name in _BOTH
    }


async def _ended(here: Site, seen: Seen, levels: tuple[int, ...]) -> Levels:
    """Put in ended runs, level by level, and start the operator with all of them there."""
    workflow = await define(here, "past", diamond(0.1))
    status = await status_of_one(here, seen, workflow, "model")
    found: Levels = {}
    for level in (0, *levels):
        here.kill_operator()
        await make_ended(here.store, [workflow], status, range(max(found, default=0), level))
        await free_lease(here.store)
        await here.start_operator()
        found[level] = await quiet_pss(here, _BOTH)
    return found


async def _run(here: Site, seen: Seen, workflow: Defined, numbers: range) -> None:
    runs = await submit_steadily(here, workflow, f"from-{numbers.start}", len(numbers))
    await until_running(here, seen, runs, "a")
