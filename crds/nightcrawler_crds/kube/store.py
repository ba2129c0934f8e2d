"""The one door to the API server: requests out, typed objects in, errors translated.

Everything that operator and facade ask of the API server goes through here; informers
(in `informer`) use its `list_page` and `watch`. No request is repeated here: whoever
asked knows whether asking again is right.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar

import aiohttp
import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.reading import from_json
from nightcrawler_crds.kube.refusals import translate
from nightcrawler_crds.names import Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

Propagation = Literal["Background", "Foreground", "Orphan"]
Body = Mapping[str, Any] | bytes
OnUnreadable = Callable[[errors.Unreadable], None]

_MERGE_PATCH: Final = "application/merge-patch+json"
_REQUEST_TIMEOUT: Final = 15.0
_WATCH_TIMEOUT: Final = 290
# The API server sends bookmarks about once a minute; a watch that is silent for longer is dead.
_WATCH_SILENCE: Final = 100.0


class ListMeta(msgspec.Struct, rename="camel"):
    """The metadata of a list: its version, and where the next page starts."""

    resource_version: str = "0"
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class Page(msgspec.Struct):
    """One page of a list: `items` are still to be decoded."""

    metadata: ListMeta
    items: list[msgspec.Raw] = []


class Store:
    """Typed requests for objects of any kind.

    Every method raises one of `errors.ApiError`'s kinds, and nothing else, when the API
    server refuses or cannot be reached. Times are in seconds.
    """

    def __init__(self, connection: Connection, *, timeout: float = _REQUEST_TIMEOUT) -> None:
        self._connection = connection
        self._timeout = timeout
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        """The object of that name, fresh from the API server."""
        return self._decode(await self._request("GET", _path(resource, namespace, name)), kind)

    async def create(
        self, resource: Resource, namespace: str, body: Body, kind: type[T], *, timeout: float | None = None
    ) -> T:
        """Create an object; `AlreadyExists` if its name is taken."""
        path = _path(resource, namespace)
        return self._decode(await self._request("POST", path, body=body, timeout=timeout), kind)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Body,
        kind: type[T],
        *,
        subresource: str = "",
        timeout: float | None = None,
    ) -> T:
        """Merge-patch an object; with `metadata.resourceVersion` in it, `Conflict` if it has changed."""
        path = _path(resource, namespace, name, subresource)
        answer = await self._request("PATCH", path, body=body, content_type=_MERGE_PATCH, timeout=timeout)
        return self._decode(answer, kind)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: Propagation = "Background",
        uid: str | None = None,
        grace_period: int | None = None,
    ) -> None:
        """Delete an object, and by explicit propagation what it owns; `NotFound` if it is gone.

        With `uid`, only that very object: `Conflict` if the name has been taken by another.
        """
        options: dict[str, Any] = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": propagation,
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        await self._request("DELETE", _path(resource, namespace, name), body=options)

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str,
        version: str,
        propagation: Propagation = "Background",
    ) -> None:
        """Delete all objects that had a label at a resourceVersion, in one request.

        A label alone says nothing about whose they are. At a version that the caller has a complete list of
        it selects what the caller knows: an object made or labelled since is not touched. The API server
        deletes by name what it finds in that version (`registry.Store.DeleteCollection`).

        Raises:
            Gone: The version is too old.
        """
        assert label_selector, "without a selector this would delete everything in the namespace"
        assert version, "without a version this would delete whatever has the label"
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        params = {
            "labelSelector": label_selector,
            "resourceVersion": version,
            "resourceVersionMatch": "Exact",
        }
        await self._request("DELETE", _path(resource, namespace), body=options, params=params)

    async def list_page(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        continue_: str = "",
    ) -> Page:
        """One page of a consistent list; an empty namespace means all of them."""
        asked = {"labelSelector": label_selector, "fieldSelector": field_selector, "continue": continue_}
        params = {"limit": str(limit)} | {key: value for key, value in asked.items() if value}
        return self._decode(await self._request("GET", _path(resource, namespace), params=params), Page)

    async def list_all(
        self,
        resource: Resource,
        namespace: str,
        kind: type[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_unreadable: OnUnreadable | None = None,
    ) -> list[T]:
        """Every object of a selection, page by page, decoded; see `list_with_version`."""
        found, _ = await self.list_with_version(
            resource,
            namespace,
            kind,
            label_selector=label_selector,
            field_selector=field_selector,
            on_unreadable=on_unreadable,
        )
        return found

    async def list_with_version(
        self,
        resource: Resource,
        namespace: str,
        kind: type[T],
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_unreadable: OnUnreadable | None = None,
    ) -> tuple[list[T], int]:
        """Every object of a selection, and the resourceVersion that the list is of.

        Args:
            resource: What to list.
            namespace: Where; empty for all namespaces.
            kind: What the objects are decoded to.
            label_selector: Which of them, by labels.
            field_selector: Which of them, by fields.
            on_unreadable: Told of each that is there and cannot be read, and so is not in the list.

        Raises:
            Unreadable: One cannot be read, and nobody wants to be told: it must not seem to be absent.
        """
        found: list[T] = []
        version, continue_ = "", ""
        while True:
            page = await self.list_page(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                continue_=continue_,
            )
            for item in page.items:
                try:
                    found.append(self._decode(item, kind))
                except errors.Unreadable as error:
                    if on_unreadable is None:
                        raise
                    on_unreadable(error)
            version = version or page.metadata.resource_version
            continue_ = page.metadata.continue_
            if not continue_:
                return found, int(version)

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str,
        resource_version: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        """A watch from a resourceVersion: its lines as they come, until the API server ends it.

        Raises:
            Unavailable: The stream broke, or was silent for longer than bookmarks allow.
        """
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_TIMEOUT),
        }
        if label_selector:
            params["labelSelector"] = label_selector
        if field_selector:
            params["fieldSelector"] = field_selector
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=_WATCH_SILENCE)
        async with self._response(
            "GET", _path(resource, namespace), params=params, timeout=timeout
        ) as response:
            yield _lines(response)

    async def logs(
        self, namespace: str, pod: str, *, container: str, tail_lines: int, max_bytes: int
    ) -> tuple[str, bool]:
        """The last lines of a container's log, each with its time in front, and whether nothing was cut.

        Lines may be of any length: no more than `max_bytes` from the end on are kept, from the
        beginning of a line if one begins in them. Bytes that are not UTF-8 become U+FFFD: a program
        may print anything.
        """
        params = {"container": container, "tailLines": str(tail_lines), "timestamps": "true"}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        limits = aiohttp.ClientTimeout(total=self._timeout)
        async with self._response("GET", path, params=params, timeout=limits) as response:
            kept, whole = await _last_bytes(response, max_bytes)
        if not whole:
            kept = kept[kept.find(b"\n", 0, -1) + 1 :]
        return kept.decode(errors="replace"), whole

    async def reachable(self) -> None:
        """Ask the API server whether it is ready; raises as every request does."""
        await self._request("GET", "/readyz")

    def _decode(self, data: bytes | msgspec.Raw, kind: type[T]) -> T:
        decoder: msgspec.json.Decoder[T] | None = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = msgspec.json.Decoder(kind, strict=False)
        return from_json(data, kind, decoder)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=timeout or self._timeout)
        async with self._response(
            method, path, body=body, params=params, content_type=content_type, timeout=limits
        ) as response:
            return await response.read()

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        body: Body | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        headers = await self._connection.headers()
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            headers["Content-Type"] = content_type
        try:
            async with self._connection.session.request(
                method,
                self._connection.server + path,
                data=data,
                params=params,
                headers=headers,
                timeout=timeout,
            ) as response:
                if response.status >= 400:
                    raise self._translate(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            what = (
                "did not answer in time"
                if isinstance(error, TimeoutError)
                else f"cannot be reached ({error})"
            )
            raise errors.Unavailable(f"the API server {what}") from error

    def _translate(self, response: aiohttp.ClientResponse, body: bytes) -> errors.ApiError:
        if response.status == 401:
            self._connection.forget_token()
        return translate(response.status, body, response.headers.get("Retry-After"))


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    where = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return root + where + "/" + "/".join(part for part in (resource.plural, name, subresource) if part)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    # Not `async for line in response.content`: that refuses lines over its buffer's limit,
    # and an object may be 1.5 MB.
    rest = b""
    async for chunk in response.content.iter_any():
        data = rest + chunk if rest else chunk
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        for line in data[:end].splitlines():
            if line:
                yield line


async def _last_bytes(response: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """The end of an answer, and whether it is all of it; memory holds little more than that end."""
    chunks: deque[bytes] = deque()
    size, whole = 0, True
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        while size - len(chunks[0]) >= most:
            size -= len(chunks.popleft())
            whole = False
    kept = b"".join(chunks)
    return kept[-most:], whole and size <= most
