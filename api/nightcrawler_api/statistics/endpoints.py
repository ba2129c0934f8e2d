"""Route of statistics."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Response

from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import CallerOf, StatisticsOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.openapi import reads, with_table
from nightcrawler_api.responses import ETagResponse, table
from nightcrawler_api.statistics.schemas import StatisticsOfAll, StatisticsParameters

router = Routes(prefix="/api/statistics", tags=["executions"])

_FIGURES: Final[dict[str, Any]] = {
    "executions": 12,
    "running": 1,
    "completed": 9,
    "failed": 1,
    "cancelled": 1,
    "successRate": 0.9,
    "durationSeconds": {"mean": 4512.2, "median": 4585.0, "p95": 5120.0, "max": 5120.0},
    "waitSeconds": {"mean": 12.5, "median": 8.0, "p95": 44.0, "max": 44.0},
    "cost": {"amount": 81.4, "currency": "USD"},
}
_EXAMPLE: Final[dict[str, Any]] = {**_FIGURES, "groups": [{"day": "2025-07-10", **_FIGURES}]}

_TABLE: Final = (
    "day,executions,running,completed,failed,cancelled,successRate\r\n2025-07-10,12,1,9,1,1,0.9\r\n"
)


@router.get(
    "",
    summary="Show statistics of executions",
    responses=with_table(reads(StatisticsOfAll, "The statistics.", _EXAMPLE, 422, 503), _TABLE),
)
@performs(Operation.SHOW_STATISTICS)
async def show_statistics(
    statistics: StatisticsOf, caller: CallerOf, asked: Annotated[StatisticsParameters, Query()]
) -> Response:
    """Of all executions that match the filters, archived or not, and of each group of them."""
    if asked.format == "csv":
        return table(await statistics.table(asked, caller), "statistics")
    return ETagResponse(await statistics.show(asked, caller))
