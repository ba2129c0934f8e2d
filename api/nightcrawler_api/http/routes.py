"""The routes of the API as they are declared, apart from the applications that serve or document them.

FastAPI makes a validator and a serializer of every model in the `responses` of a route, once for a router
and once more for the application that includes it. Every route here answers with a ready Response, so that
only the document needs them: without them the process is 12 MB smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, TypeVar, Unpack

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from typing_extensions import TypedDict

from nightcrawler_api.http.parameters import with_models

Function = TypeVar("Function", bound=Callable[..., Any])


class Options(TypedDict):
    """Options of a route, as in FastAPI; `responses` is used by the document only."""

    summary: str
    responses: NotRequired[Mapping[int | str, dict[str, Any]]]
    status_code: NotRequired[int]
    response_class: NotRequired[type[Response]]


class Routes:
    """Routes of one kind of thing, declared as with FastAPI's APIRouter.

    Args:
        prefix: What their paths begin with.
        tags: Under which the document has them.
        route_class: How their requests are read.
    """

    def __init__(
        self, *, prefix: str = "", tags: Sequence[str], route_class: type[APIRoute] = APIRoute
    ) -> None:
        self.prefix = prefix
        self._tags = tags
        self._route_class = route_class
        self._declared: list[tuple[str, str, Callable[..., Any], Options]] = []

    def get(self, path: str, **options: Unpack[Options]) -> Callable[[Function], Function]:
        """Declare a function as the answer to GET."""
        return self._declare("GET", path, options)

    def post(self, path: str, **options: Unpack[Options]) -> Callable[[Function], Function]:
        """Declare a function as the answer to POST."""
        return self._declare("POST", path, options)

    def put(self, path: str, **options: Unpack[Options]) -> Callable[[Function], Function]:
        """Declare a function as the answer to PUT."""
        return self._declare("PUT", path, options)

    def delete(self, path: str, **options: Unpack[Options]) -> Callable[[Function], Function]:
        """Declare a function as the answer to DELETE."""
        return self._declare("DELETE", path, options)

    def add_to(self, app: FastAPI, *, documented: bool = False) -> None:
        """Let an application serve them, or, `documented`, make the document of them."""
        for method, path, function, options in self._declared:
            used: dict[str, Any] = {**options}
            if not documented:
                used.pop("responses", None)
            app.router.add_api_route(
                self.prefix + path,
                function if documented else with_models(function),
                methods=[method],
                tags=[*self._tags],
                route_class_override=self._route_class,
                **used,
            )

    def _declare(self, method: str, path: str, options: Options) -> Callable[[Function], Function]:
        def declare(function: Function) -> Function:
            self._declared.append((method, path, function, options))
            return function

        return declare
