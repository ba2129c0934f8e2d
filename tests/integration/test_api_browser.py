"""The event stream as pages use it: the guide's script in a real browser, from another origin.

The page keeps what it shows as the guide says: it reads the list at a `resync`, and then applies the events.
It reports its rows, and the ids of all events that it got, to the test.
"""

from __future__ import annotations

import random
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from localcluster import LocalCluster
from tests.support import browser
from tests.support.docs import ROOT
from tests.support.facade import Json, Served, serving
from tests.support.forwarder import Forwarder
from tests.support.polling import eventually

STEP: Final[Json] = {"name": "a", "image": "busybox:1"}
RUNS: Final = 10
CUTS: Final = 3
_DRAINS: Final = 1
"""Seconds that the facade goes on after it was asked to stop."""

PAGE: Final = """
<!DOCTYPE html>
<title>Executions</title>
<script src="/follow.js"></script>
<script>
const api = new URLSearchParams(location.search).get("api");
const workflow = new URLSearchParams(location.search).get("workflow");
const rows = {}, ids = [];
let resyncs = 0, problem = "", shown = "", turn = Promise.resolve();

async function apply({ type, data, lastEventId }) {
  const news = JSON.parse(data);
  ids.push(lastEventId);
  if (type === "resync") {
    const response = await fetch(`${api}/api/executions?limit=100&workflow=${workflow}`);
    const { executions } = await response.json();
    for (const id of Object.keys(rows)) delete rows[id];
    for (const row of executions) rows[row.id] = row;
    resyncs += 1;
  } else if (type === "execution") {
    rows[news.id] = news;
  } else if (type === "executionDeleted") {
    delete rows[news.id];
  }
}

follow(`${api}/api/events?workflow=${workflow}`, (event) => {
  turn = turn.then(() => apply(event)).catch((error) => { problem = String(error); });
});

(async () => {
  while (true) {
    const report = JSON.stringify({ rows, ids, resyncs, problem });
    if (report !== shown) await fetch("/report", { method: "POST", body: report });
    shown = report;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
})();
</script>
"""


def guides_script() -> str:
    """The guide's script, without its last line, which calls it."""
    (block,) = re.findall(
        r"```js\n(.*?)```", (ROOT / "docs" / "rest.md").read_text(encoding="utf-8"), re.DOTALL
    )
    script, _, call = block.strip().rpartition("\n")
    assert call.startswith("follow("), call
    return str(script)


@dataclass(frozen=True, slots=True)
class Screen:
    """A page in the browser that shows the executions of a workflow, and the way from it to the facade."""

    served: Served
    workflow: str
    pages: browser.Pages
    line: Forwarder

    @property
    def report(self) -> Json:
        """What the page has reported last."""
        report: Json = self.pages.reports.get("/report", {})
        assert not report.get("problem"), report["problem"]
        return report

    def is_up_to_date(self) -> bool:
        """Whether the page shows what the list has."""
        query: Json = {"workflow": self.workflow, "limit": 100}
        listed = self.served.http.get("/api/executions", params=query).json()["executions"]
        shown = self.report.get("rows", {}).values()
        return _by_id(shown) == _by_id(listed)


def _by_id(rows: Iterable[Json]) -> dict[str, Json]:
    """Rows without the duration: that of a live run is the one so far, and goes on without an event."""
    return {row["id"]: {key: row[key] for key in row if key != "duration"} for row in rows}


@pytest.fixture(scope="module")
def pages() -> Iterator[browser.Pages]:
    with browser.Pages({"/": PAGE, "/follow.js": guides_script()}) as made:
        yield made


@pytest.fixture(scope="module")
def facade(
    cluster: LocalCluster, pages: browser.Pages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A facade that the pages may use."""
    folder = tmp_path_factory.mktemp("facade")
    with serving(cluster, folder, cors_origins=pages.origin, drain_timeout=_DRAINS) as made:
        yield made


@pytest.fixture
def screen(cluster: LocalCluster, facade: Served, pages: browser.Pages, tmp_path: Path) -> Iterator[Screen]:
    """The page, once it shows that there is no execution."""
    pages.reports.clear()
    workflow = facade.create(steps=[STEP])
    with Forwarder(facade.http.base_url.port or 80) as line:
        query = urllib.parse.urlencode({"api": f"http://127.0.0.1:{line.port}", "workflow": workflow})
        with browser.showing(f"{pages.origin}/?{query}", cluster, tmp_path):
            shown = Screen(facade, workflow, pages, line)
            eventually(lambda: shown.report.get("resyncs") == 1, what="the page to be shown")
            yield shown


def change_some(screen: Screen, chance: random.Random, runs: list[str], turn: int) -> None:
    for run in runs:
        if chance.random() < 0.6:
            screen.served.report(run, phase="Pending", progress=f"{turn}/9")


def test_a_page_misses_nothing_and_gets_nothing_twice_however_often_its_connection_breaks(
    screen: Screen,
) -> None:
    chance = random.Random(14)
    runs = [screen.served.execute(screen.workflow) for _ in range(RUNS)]
    for turn in range(CUTS):
        eventually(lambda: screen.line.connected, what="the browser to connect")
        change_some(screen, chance, runs, 2 * turn)
        screen.line.cut()
        change_some(screen, chance, runs, 2 * turn + 1)
    screen.served.cluster.kubectl("delete", "wfe", *runs[:3], f"--namespace={screen.served.namespace}")
    eventually(screen.is_up_to_date, what="the page to show what there is")
    report = screen.report
    assert len(report["rows"]) == RUNS - 3
    assert report["resyncs"] == 1, "every connection went on after the last event"
    assert len(report["ids"]) == len(set(report["ids"])), "an event came twice"
    assert screen.line.taken > CUTS


def test_a_page_follows_on_after_the_facade_was_replaced(screen: Screen) -> None:
    runs = [screen.served.execute(screen.workflow) for _ in range(2)]
    eventually(screen.is_up_to_date, what="the page to show the runs")
    screen.served.facade.stop()  # at once, and not after the stream has ended by itself
    screen.served.report(runs[0], phase="Completed", completionTime="2099-01-01T00:00:00Z", progress="1/1")
    screen.served.facade.start()
    eventually(lambda: screen.report["resyncs"] > 1, what="the page to begin anew")
    screen.served.execute(screen.workflow)
    eventually(screen.is_up_to_date, what="the page to show what there is")
    assert len(screen.report["rows"]) == 3
