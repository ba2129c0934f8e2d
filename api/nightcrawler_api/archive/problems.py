"""What keeps the archive from being used, as a sentence that says what to do; pure.

The driver's own message may have the database's address in it, and never its password.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

MIGRATE: Final = "the administrator has to run `nightcrawler-api migrate`"
NO_SCHEMA: Final = f"the archive's database has no tables yet; {MIGRATE}"
OLD_SCHEMA: Final = (
    "the archive's tables are of an earlier version ({version}, and this facade needs {needed}); "
    f"{MIGRATE}"
)
TOO_SLOW: Final = "the archive's database did not answer in time; try again later"
_FULL: Final = "the archive's database has no room left on its disk; its administrator has to free some"
_READ_ONLY: Final = "the archive's database takes no writes: it is read-only"
_DAMAGED: Final = "the archive's database is damaged; restore it from a back-up, or begin with an empty one"
_DENIED: Final = (
    "the archive's database does not let the facade in; check user, password and rights of "
    "NIGHTCRAWLER_ARCHIVE_URL"
)

_NO_DATABASE: Final = (
    "the archive's database does not exist on its server; create it, or correct NIGHTCRAWLER_ARCHIVE_URL"
)
_NO_FILE: Final = (
    "the archive's file cannot be opened; check that the folder in NIGHTCRAWLER_ARCHIVE_URL is there and "
    "may be written to"
)

_BY_STATE: Final = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "42P01": NO_SCHEMA,
    "57014": TOO_SLOW,
    "55P03": TOO_SLOW,
    "28P01": _DENIED,
    "28000": _DENIED,
    "42501": _DENIED,
    "3D000": _NO_DATABASE,
    "53300": "the archive's database takes no more connections; try again later",
}
"""Of PostgreSQL, by SQLSTATE."""
_BY_TEXT: Final = (
    ("no such table", NO_SCHEMA),
    ("database or disk is full", _FULL),
    ("readonly database", _READ_ONLY),
    ("database is locked", TOO_SLOW),
    ("malformed", _DAMAGED),
    ("not a database", _DAMAGED),
    (
        "unable to open database file",
        _NO_FILE,
    ),
    ("disk i/o error", "the disk of the archive's database fails; look at the log of its machine"),
    # Of a connection that could not be made there is no SQLSTATE, only the server's text.
    ("password authentication failed", _DENIED),
    ("does not exist", _NO_DATABASE),
)
_MOST: Final = 200


def sentence(error: SQLAlchemyError) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, PoolTimeoutError):
        return TOO_SLOW
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if state in _BY_STATE:
        return _BY_STATE[state]
    said = " ".join(str(cause).split())
    for part, meaning in _BY_TEXT:
        if part in said.lower():
            return meaning
    if isinstance(error, DBAPIError) and (error.connection_invalidated or state is None):
        return f"the archive's database cannot be reached: {said[:_MOST]}"
    return f"the archive's database refuses: {said[:_MOST]}"


def is_about_content(error: SQLAlchemyError) -> bool:
    """Whether it is what was to be stored that the database does not take, and not the database itself."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None) or ""
    # 22: data exceptions; 23: integrity; 54: limits of the program, such as the size of a row.
    return state[:2] in ("22", "23", "54") or type(cause).__name__ in ("IntegrityError", "DataError")
