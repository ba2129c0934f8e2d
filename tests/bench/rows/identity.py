"""Identity: what it costs lists that each caller is known and sees only what they may.

The same cluster, the same questions and the same changes as in the row of lists, once a second from each of
fifty clients; by turns with a facade that identifies nobody, and with one that takes tokens of an OpenID
Connect provider. Then each client is another person of the team, and of eleven workflows one is private to
somebody else, so that nothing can be answered from what everybody sees.

- `off_p99_ms`, `on_p99_ms`, and `p99_times`: the second, times the first.
- `off_mb`, `on_mb`, and `more_mb`: the facade's memory at rest afterwards, and how much more it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nightcrawler_crds import clock
from tests.bench.dashboards import Looks, visit
from tests.bench.engines import NAMESPACE
from tests.bench.figures import distribution, milliseconds, percentile
from tests.bench.measured import Measured
from tests.bench.quiet import quiet_pss
from tests.bench.rows.list import fill, life
from tests.bench.site import FACADE, Site, site
from tests.bench.sizes import Sizes
from tests.support.issuer import AUDIENCE, Issuer, an_issuer

OFF: Final = "off"
ON: Final = "on"
_TURNS: Final = (OFF, ON, ON, OFF)
"""Backwards the second time, so that neither always comes after the other."""
_GROUP: Final = "team"
_HOUR: Final = 3_600
_WARM_SECONDS: Final = 3.0
_ONE_PRIVATE_OF: Final = 10


@dataclass
class Seen:
    """What was seen of a facade over all its turns.

    Attributes:
        pages: Seconds that each list took.
        mb: Its memory at rest after each turn.
    """

    pages: list[float] = field(default_factory=list)
    mb: list[float] = field(default_factory=list)


async def measure(sizes: Sizes) -> Measured:
    """`<off|on>_p99_ms`, `p99_times`, `<off|on>_mb` and `more_mb`."""
    found = {OFF: Seen(), ON: Seen()}
    with an_issuer() as issuer:
        async with site(operator=False) as here:
            now = clock.utcnow()
            workflows, of = await fill(
                here,
                workflows=sizes.list_workflows,
                runs=sizes.list_runs,
                cached=sizes.list_runs,
                live=sizes.list_live,
                private=sizes.list_workflows // _ONE_PRIVATE_OF,
                now=now,
            )
            runs = [of.count(number) for number in range(len(workflows))]
            for mode in _TURNS:
                await here.start_facade(**_settings(here, issuer, mode))
                tokens = _tokens(issuer, sizes.list_clients) if mode == ON else []
                async with life(here, sizes, now):
                    await _visit(here, sizes, _WARM_SECONDS, runs, tokens)
                    looks = await _visit(here, sizes, sizes.list_seconds, runs, tokens)
                found[mode].pages += looks.of("page")
                found[mode].mb.append((await quiet_pss(here, (FACADE,)))[FACADE])
                await here.stop_facade()
    return Measured(
        figures(found),
        curves={f"% of answers by ms: identity {mode}": distribution(found[mode].pages) for mode in found},
        tables={"lists": {mode: len(found[mode].pages) for mode in found}},
    )


def figures(found: Mapping[str, Seen]) -> dict[str, float]:
    """The figures of the row."""
    p99 = {mode: milliseconds(percentile(seen.pages, 0.99)) for mode, seen in found.items()}
    mb = {mode: round(sum(seen.mb) / len(seen.mb), 1) for mode, seen in found.items()}
    return {
        **{f"{mode}_p99_ms": value for mode, value in p99.items()},
        "p99_times": round(p99[ON] / p99[OFF], 2),
        **{f"{mode}_mb": value for mode, value in mb.items()},
        "more_mb": round(mb[ON] - mb[OFF], 1),
    }


def _settings(here: Site, issuer: Issuer, mode: str) -> dict[str, object]:
    if mode == OFF:
        return {}
    teams = here.folder / "teams.yaml"
    teams.write_text(json.dumps({"teams": [{"namespaces": [NAMESPACE], "groups": [{"name": _GROUP}]}]}))
    return {
        "identity": "oidc",
        "oidc_issuer": issuer.url,
        "oidc_audiences": AUDIENCE,
        "teams_file": teams,
    }


def _tokens(issuer: Issuer, count: int) -> list[str]:
    """The tokens of so many people of the team, good for an hour."""
    expires = int(time.time()) + _HOUR
    return [issuer.token(f"person-{number}", groups=[_GROUP], exp=expires) for number in range(count)]


async def _visit(here: Site, sizes: Sizes, seconds: float, runs: list[int], tokens: Sequence[str]) -> Looks:
    return await visit(
        here.facade_url,
        clients=sizes.list_clients,
        seconds=seconds,
        as_fast=False,
        runs=runs,
        tokens=list(tokens),
    )
