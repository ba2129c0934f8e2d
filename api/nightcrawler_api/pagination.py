"""The requested part of a list: `page` and `pageSize`, or `limit` and `offset`; or what follows a `cursor`.

All default to ten entries and allow a hundred. A page beyond the end is empty, not an error: the list may
just have become shorter. A cursor is the place of the last entry of a response, encoded: the next part begins
there whatever was added or removed before it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from nightcrawler_api.errors import Invalid
from nightcrawler_api.state.ordering import Ordering, Position

T = TypeVar("T")

DEFAULT_SIZE: Final = 10
MAX_SIZE: Final = 100
_MAX_CURSOR: Final = 1024
_TEXTS: Final = ("name",)
"""Fields whose values are texts; all others have numbers."""

Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]


class Unset:
    """Annotates a word of a query that may be empty: forms send an empty string for an unset field."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The word's own schema, and None for an empty string."""
        return core_schema.no_info_before_validator_function(lambda word: word or None, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The word's own schema, or an empty string."""
        shown = handler(schema)
        return {"anyOf": [*shown.get("anyOf", [shown]), {"type": "string", "maxLength": 0}]}


def _moment(text: object) -> object:
    """A time from its text: RFC 3339, or a date, which means its first moment in UTC."""
    if not isinstance(text, str) or not text:
        return None if text == "" else text
    try:
        if len(text) == len("2025-07-10"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        # A plus in a query that is not quoted arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if text[10:11] in "Tt" else text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time; send it as 2025-07-10T14:45:00Z, or as a date: 2025-07-10"
        ) from error


Moment = Annotated[
    datetime | None,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
                {"type": "string", "maxLength": 0},
            ]
        }
    ),
]
"""A time in a query; None if it is not set."""


class QueryParameters(BaseModel):
    """Parameters of a query; the names of fields are those of the parameters."""

    model_config = ConfigDict(alias_generator=to_camel)


class Continued(QueryParameters):
    """The parameter with which a list is continued."""

    cursor: Annotated[Annotated[str, Field(max_length=_MAX_CURSOR)] | None, Unset()] = Field(
        None,
        description="The nextCursor of a response to the same filters and sort: what follows it. "
        "It takes the place of a page's number or offset.",
    )


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` entries after the first `offset`, counted from the cursor if there is one."""

    offset: int
    limit: int


class Paged(Continued):
    """Query parameters of a list that is paged by number as well; `sort` is each list's own."""

    sort: str
    page: int = Field(1, ge=1, description="Number of the page, from 1.")
    page_size: Size = Field(DEFAULT_SIZE, description="Entries on a page.")

    @property
    def window(self) -> Window:
        """The entries on the page."""
        return Window((self.page - 1) * self.page_size, self.page_size)

    @property
    def ordering(self) -> Ordering:
        """The order of the list; raises `Invalid` for a cursor that cannot be used."""
        return ordering(self.sort, self.cursor, "page" if self.page > 1 else None)


def ordering(sort: str, cursor: str | None, skipped: str | None) -> Ordering:
    """The order of a list: a field, with `-` before it if descending, and where to start.

    `skipped` is the parameter that skips entries too, if it is set.

    Raises:
        Invalid: The cursor is of a list in another order, or not one of ours, or there is `skipped` too.
    """
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    if cursor is None:
        return Ordering(field, descending)
    if skipped:
        raise _bad_cursor(f"cannot be combined with {skipped}; send one of them")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Cursor)
    except (binascii.Error, ValueError) as error:
        raise _bad_cursor("is not one of ours; send the nextCursor of a response") from error
    if found.sort != sort:
        raise _bad_cursor("is of a list in another order; send the sort of that list too, or no cursor")
    if found.value is not None and isinstance(found.value, str) != (field in _TEXTS):
        raise _bad_cursor("is not one of ours; send the nextCursor of a response")
    return Ordering(field, descending, Position(found.value, (found.at, found.namespace, found.name)))


def _bad_cursor(detail: str) -> Invalid:
    return Invalid([{"parameter": "cursor", "detail": detail}])


def continued(shown: T, sort: str, position: Position | None) -> T:
    """A response with its field `nextCursor`, if something follows."""
    if position is not None:
        text = msgspec.json.encode(_Cursor(sort, position.value, *position.order))
        cast("dict[str, Any]", shown)["nextCursor"] = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return shown


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    sort: str
    value: float | str | None
    at: float
    namespace: str
    name: str
