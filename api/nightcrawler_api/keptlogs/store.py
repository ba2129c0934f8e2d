"""The log store: a folder of this machine, or S3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url
from typing_extensions import override

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keptlogs.objects import Object, Objects

_MOST: Final = 200


class LogStore(Objects):
    """Objects in a folder (`file:///path`) or a bucket (`s3://bucket/prefix`).

    For S3 credentials, region and endpoint are those of the environment (`AWS_...`).
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: ObjectStore | None = None

    @property
    def _store(self) -> ObjectStore:
        """The store, opened at its first use: a folder may not be there yet."""
        if self._opened is None:
            parts = urlsplit(self._url)
            try:
                self._opened = (
                    LocalStore(Path(parts.path), mkdir=True, automatic_cleanup=True)
                    if parts.scheme == "file"
                    else from_url(
                        self._url,
                        # An endpoint inside of the cluster may have no certificate.
                        client_options={"timeout": "15s", "connect_timeout": "5s", "allow_http": True},
                        retry_config={"max_retries": 2},
                    )
                )
            except (BaseError, OSError, ValueError) as error:
                raise _unavailable(error) from error
        return self._opened

    @override
    async def get(self, path: str) -> bytes | None:
        try:
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    @override
    async def put(self, path: str, content: bytes) -> None:
        try:
            await obstore.put_async(self._store, path, content)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    @override
    async def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            try:
                await obstore.delete_async(self._store, path)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error

    @override
    async def list(self, prefix: str = "") -> AsyncIterator[Sequence[Object]]:
        try:
            async for part in obstore.list(self._store, prefix or None):
                yield [Object(one["path"], one["size"], one["last_modified"]) for one in part]
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> HistoryUnavailable:
    said = " ".join(str(error).split())[:_MOST]
    return HistoryUnavailable(f"the log store cannot be used: {said}")
