"""All requests to the API server: typed objects, and errors translated.

Operator and facade send every request through here; informers use `list_page` and `watch`.
No request is retried here: only the caller knows whether a retry is safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar

import aiohttp
import msgspec

from nightcrawler_crds import errors
from nightcrawler_crds.correlation import REQUEST_ID
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.lines import bounded_lines, last_bytes, lines_of
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
# The API server sends bookmarks about once a minute; a watch without any for longer is broken.
_WATCH_SILENCE: Final = 100.0
_LOG_SILENCE: Final = 300.0


class ListMeta(msgspec.Struct, rename="camel"):
    """The metadata of a list: its version, and where the next page starts."""

    resource_version: str = "0"
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class _Version(msgspec.Struct, rename="camel"):
    """The API server's version."""

    git_version: str = ""


class Page(msgspec.Struct):
    """One page of a list, with `items` not decoded yet."""

    metadata: ListMeta
    items: list[msgspec.Raw] = []


class Store:
    """Typed requests for objects of any kind.

    When the API server refuses or cannot be reached, every method raises a subclass of
    `errors.ApiError` and nothing else. Times are in seconds.
    """

    def __init__(self, connection: Connection, *, timeout: float = _REQUEST_TIMEOUT) -> None:
        self._connection = connection
        self._timeout = timeout
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

    async def get(self, resource: Resource, namespace: str, name: str, kind: type[T]) -> T:
        """Get an object."""
        return self._decode(await self._request("GET", _path(resource, namespace, name)), kind)

    async def create(
        self,
        resource: Resource,
        namespace: str,
        body: Body,
        kind: type[T],
        *,
        timeout: float | None = None,
        dry_run: bool = False,
    ) -> T:
        """Create an object; raises `AlreadyExists` if the name is taken.

        With `dry_run` the API server does all but keep it: it validates, asks admission, counts quotas.
        """
        path, params = _path(resource, namespace), {"dryRun": "All"} if dry_run else None
        answer = await self._request("POST", path, body=body, params=params, timeout=timeout)
        return self._decode(answer, kind)

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
        """Merge-patch an object; with `metadata.resourceVersion` in `body`, raises `Conflict` if stale."""
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
        resource_version: str | None = None,
        grace_period: int | None = None,
    ) -> None:
        """Delete an object, and its dependents by an explicit propagation policy.

        Raises:
            NotFound: It does not exist.
            Conflict: `uid` or `resource_version` is given, and the object of that name has another.
        """
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        options["propagationPolicy"] = propagation
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if given := {key: value for key, value in preconditions.items() if value}:
            options["preconditions"] = given
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

        Labels do not prove ownership. At a version that the caller has listed completely, they select only
        objects that the caller knows: one created or labelled later is not deleted. The API server deletes
        by name the objects that it lists at that version (`registry.Store.DeleteCollection`).

        Raises:
            Gone: The version is too old.
        """
        assert label_selector, "without a selector this would delete everything in the namespace"
        assert version, "without a version this would delete every object with the label"
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
        """One page of a consistent list; an empty namespace means all namespaces."""
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
        """All matching objects, decoded; see `list_with_version`."""
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
        """All matching objects, and the resourceVersion of the list.

        Args:
            resource: What to list.
            namespace: The namespace; empty for all.
            kind: The view to decode to.
            label_selector: A label selector.
            field_selector: A field selector.
            on_unreadable: Called for each object that cannot be decoded, and so is not in the list.

        Raises:
            Unreadable: One cannot be decoded and there is no `on_unreadable`; it must not seem not to exist.
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
        """Watch from a resourceVersion: the lines of the response, until the API server ends it.

        Raises:
            Unavailable: The connection broke, or no bookmark came in time.
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
            yield lines_of(response)

    async def logs(
        self, namespace: str, pod: str, *, container: str, tail_lines: int, max_bytes: int
    ) -> tuple[str, bool]:
        """The last lines of a container's log with timestamps, and whether nothing was cut.

        Lines may be of any length: only the last `max_bytes` are kept, from the first line that starts
        in them, if any does. Bytes that are not UTF-8 become U+FFFD.
        """
        params = {"container": container, "tailLines": str(tail_lines), "timestamps": "true"}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        limits = aiohttp.ClientTimeout(total=self._timeout)
        async with self._response("GET", path, params=params, timeout=limits) as response:
            kept, whole = await last_bytes(response, max_bytes)
        if not whole:
            kept = kept[kept.find(b"\n", 0, -1) + 1 :]
        return kept.decode(errors="replace"), whole

    @asynccontextmanager
    async def log_lines(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        follow: bool,
        since: str | None = None,
        unfinished: bool = True,
    ) -> AsyncGenerator[AsyncGenerator[list[bytes], None], None]:
        """The lines of a container's log with timestamps, as they arrive, without their ends.

        A line longer than 1 MiB is cut there. Without `unfinished` a last line that has no end is left out.
        With `follow` it goes on until the container has terminated; if it is silent for five minutes,
        `Unavailable` is raised, since the connection may be lost.
        """
        params = {"container": container, "timestamps": "true", "follow": "true" if follow else "false"}
        if since:
            params["sinceTime"] = since
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=_LOG_SILENCE)
        async with self._response("GET", path, params=params, timeout=timeout) as response:
            yield bounded_lines(response, unfinished=unfinished)

    async def version(self) -> str:
        """The version of Kubernetes that the API server has, such as v1.34.1."""
        return self._decode(await self._request("GET", "/version"), _Version).git_version

    async def reachable(self) -> None:
        """Check that the API server is ready."""
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
        if request_id := REQUEST_ID.get():
            headers["Audit-ID"] = request_id
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
