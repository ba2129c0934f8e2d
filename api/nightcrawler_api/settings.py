"""The facade's settings: `NIGHTCRAWLER_*` variables of the environment, read once at start."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from nightcrawler_crds import names
from nightcrawler_crds import settings as common
from nightcrawler_crds.settings import DnsLabel, Port, Span, Wait, items, pod_namespace, variable

_MIB: Final = 1 << 20


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (
            parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError(
                f"{variable('cors_origins')} {origin!r} cannot be used. Accepted: origins such as "
                "https://dashboard.example.com (no path, no slash at the end), separated by commas, or *."
            )
    return origins


class Settings(common.CommonSettings):
    """All settings, validated and immutable; made by `load`."""

    namespace: DnsLabel = Field(
        "nightcrawler-workflows",
        description="The one namespace whose workflows are served. It has to be there, and to be one of its "
        "own: whoever reaches the facade can read its Secrets, through programs that are given them.",
    )
    allow_own_namespace: bool = Field(
        False,
        description="Whether the namespace served may be the one that the facade itself runs in, although "
        "whoever reaches the facade can then read the installation's Secrets.",
    )
    api_host: str = Field(
        "127.0.0.1", description="The address to listen on; beyond loopback only with ALLOW_UNAUTHENTICATED."
    )
    api_port: Port = Field(8080, description="The port to listen on; 0 takes any free one.")
    keep_alive: Span = Field(
        75.0,
        description="How long an idle connection is kept. It must be longer than whatever is in front keeps "
        "its own, or requests get lost: 75 seconds suit most proxies, 620 Google's load balancers.",
    )
    drain_timeout: Wait = Field(
        0.0,
        description="How long a facade that is shutting down keeps connections for their next request, whose "
        "answer closes them. 0: idle ones are closed at once. The chart sets 10 seconds.",
    )
    max_streams: Annotated[int, Field(ge=0, le=100_000)] = Field(
        1_000,
        description="How many streams of events and logs a facade serves at once; a further one is 503.",
    )
    max_streams_per_caller: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="How many streams of one caller a facade serves at once; a further one is 429. Unset: "
        "as many as of all. Without an identity all are one caller.",
    )
    max_requests_per_second: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="How many requests a second of one caller a facade answers, twice as many at once; a "
        "further one is 429. Unset: any number. Without an identity all are one caller.",
    )
    max_body_bytes: Annotated[int, Field(ge=1_024, le=_MIB)] = Field(
        _MIB,
        description="The most bytes of a request's body, before and after it is unpacked; more is 413. An "
        "object in the cluster cannot be larger than the default, 1 MiB.",
    )
    max_head_bytes: Annotated[int, Field(ge=4_096, le=_MIB)] = Field(
        64 << 10,
        description="The most bytes of a request's line and headers, tokens included; more is 431.",
    )
    allow_unauthenticated: bool = Field(
        False,
        description="Whether to listen beyond loopback although nobody is asked who they are: "
        "whoever reaches the port can run programs in the cluster.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items), AfterValidator(_origins)] = (
        Field(
            (),
            description="Origins of web pages that may use the API, separated by commas; * for all.",
        )
    )
    default_user: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "anonymous", description="The creator and executor of what is created without an identity."
    )
    template_workflow: (
        Annotated[str, Field(pattern=names.DNS_LABEL_PATTERN, max_length=names.MAX_WORKFLOW_NAME)] | None
    ) = Field(
        None,
        description="The Workflow whose steps and config those take that are created without steps. "
        "Unset: they cannot run until they are given steps.",
    )

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> Self:
        if not self.allow_unauthenticated and not is_loopback(self.api_host):
            raise ValueError(
                f"{variable('api_host')} {self.api_host!r} would let everyone who reaches this machine run "
                f"workflows, for nobody is asked who they are: set {variable('allow_unauthenticated')}=true "
                "if something else keeps strangers out, or listen on 127.0.0.1."
            )
        return self

    @model_validator(mode="after")
    def _secrets_stay_in(self) -> Self:
        if self.namespace == pod_namespace() and not self.allow_own_namespace:
            raise ValueError(
                f"{variable('namespace')} {self.namespace!r} is the namespace that this facade runs in: "
                "whoever reaches it could read the installation's Secrets with a workflow that prints them. "
                f"Serve a namespace of its own, such as nightcrawler-workflows, or set "
                f"{variable('allow_own_namespace')}=true if that is meant."
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is a loopback address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        ConfigurationError: Variables cannot be used; each has a line with its value and what is accepted.
    """
    return common.read(Settings)
