"""Who asked the API server for what: requests counted from its audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class Asked(NamedTuple):
    """One kind of request of one user agent (its name up to the first slash)."""

    agent: str
    verb: str
    what: str
    """Resource, and subresource after a slash; the path of what is no resource."""

    @property
    def text(self) -> str:
        """Such as `patch workflowexecutions/status`."""
        return f"{self.verb} {self.what}"

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.verb in WRITES


def count(lines: Iterable[str]) -> Counter[Asked]:
    """Requests in lines of an audit log, each when it was answered; a last line may be incomplete."""
    counts: Counter[Asked] = Counter()
    for line in lines:
        if not line.endswith("}\n"):
            continue
        event = json.loads(line)
        # A watch has a line when it begins (ResponseStarted) and one when it ends; it counts by the first.
        wanted = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
        if event["stage"] == wanted:
            counts[_asked(event)] += 1
    return counts


def per_step(counts: Counter[Asked], steps: int) -> dict[str, float]:
    """Requests a step by `text`, the most frequent first."""
    by_text: Counter[str] = Counter()
    for asked, number in counts.items():
        by_text[asked.text] += number
    return {text: round(number / steps, 3) for text, number in by_text.most_common()}


def per_agent(counts: Counter[Asked], steps: int) -> dict[str, float]:
    """Requests a step by user agent, the most frequent first."""
    agents: Counter[str] = Counter()
    for asked, number in counts.items():
        agents[asked.agent] += number
    return {agent: round(number / steps, 3) for agent, number in agents.most_common()}


def only(counts: Counter[Asked], **wanted: Any) -> Counter[Asked]:
    """Those that have these attributes."""
    return Counter({a: n for a, n in counts.items() if all(getattr(a, k) == v for k, v in wanted.items())})


def _asked(event: dict[str, Any]) -> Asked:
    about: dict[str, str] = event.get("objectRef", {})
    what = about.get("resource", event.get("requestURI", "").split("?")[0])
    if about.get("subresource"):
        what += f"/{about['subresource']}"
    agent = event.get("userAgent", "").split("/")[0].split(" ")[0]
    return Asked(agent, event["verb"], what)
