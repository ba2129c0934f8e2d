"""The facade's settings: `NIGHTCRAWLER_*` variables of the environment, read once at start."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator
from pydantic_settings import NoDecode

from nightcrawler_crds import names, words
from nightcrawler_crds.settings import (
    CommonSettings,
    DnsLabel,
    Port,
    Span,
    Wait,
    items,
    lower,
    own_namespace,
    pod_namespace,
)
from nightcrawler_crds.variables import read, variable

_LEAST: Final = 2 * 1024**2


def _database(url: SecretStr) -> SecretStr:
    # Without the value in the sentence: it may have a password.
    parts = urlsplit(url.get_secret_value())
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return url
    if parts.scheme in ("postgresql", "postgres") and len(parts.path) > 1:
        return url
    raise ValueError(
        f"{variable('archive_url')} cannot be used. Accepted: sqlite:////path/of/a/file (four slashes "
        "before an absolute path), or postgresql://user:password@host/database."
    )


def _log_store(url: str) -> str:
    parts = urlsplit(url)
    if (parts.scheme == "file" and not parts.netloc and len(parts.path) > 1) or (
        parts.scheme == "s3" and parts.netloc
    ):
        return url
    raise ValueError(
        f"{variable('log_url')} {url!r} cannot be used. Accepted: file:///path/of/a/folder, or s3://bucket/prefix."
    )


def _amount(value: object, info: ValidationInfo) -> object:
    """Bytes from an amount of memory as people write it."""
    if not isinstance(value, str):
        return value
    name = variable(info.field_name or "")
    try:
        found = words.parse_memory(value, what=name)
    except words.WordError as error:
        raise ValueError(f"{name}: {error}") from error
    if found is None or found.count < _LEAST:
        raise ValueError(f"{name} {value!r} is too little for a log. Accepted: 2Mi and more.")
    return found.count


_MIB: Final = 1 << 20


Identity = Literal["none", "oidc", "kubernetes"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


def _algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [name for name in names if name not in get_args(Algorithm)] or not names:
        raise ValueError(
            f"{variable('oidc_algorithms')} {','.join(names)!r} cannot be used{_named(wrong)}. Accepted: "
            f"{', '.join(get_args(Algorithm))}, separated by commas. Shared secrets (HS256) and unsigned "
            "tokens (none) never are."
        )
    return names


def _named(wrong: list[str] | bool) -> str:
    return f": {wrong[0]} is none" if isinstance(wrong, list) else ""


def _issuer(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or local) or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"{variable('oidc_issuer')} {url!r} cannot be used. Accepted: the issuer exactly as its tokens "
            "have it in iss, which is an https URL such as https://login.example.com/realms/company."
        )
    return url


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


class Settings(CommonSettings):
    """All settings, validated and immutable; made by `load`."""

    api_host: str = Field(
        "127.0.0.1",
        description="The address to listen on; beyond loopback only with IDENTITY or ALLOW_UNAUTHENTICATED.",
    )
    api_port: Port = Field(8080, description="The port to listen on; 0 takes any free one.")
    keep_alive: Span = Field(
        75.0,
        description="How long an idle connection is kept. It must be longer than the idle timeout of the "
        "proxy in front, or requests get lost: 75 seconds suit most proxies, 620 Google's load balancers.",
    )
    drain_timeout: Wait = Field(
        0.0,
        description="How long a facade that is shutting down waits for the next request of each idle "
        "connection, and closes the connection with its answer. 0: idle connections are closed at once. The "
        "chart sets 10 seconds.",
    )
    max_streams: Annotated[int, Field(ge=0, le=100_000)] = Field(
        1_000,
        description="How many streams of events and logs a facade serves at once; a further one is 503.",
    )
    max_streams_per_caller: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="How many streams of one caller a facade serves at once; a further one is 429. Unset: "
        "MAX_STREAMS. Without identity everybody is the same caller.",
    )
    max_requests_per_second: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="How many requests a second a facade answers for one caller, on average; twice as many "
        "in one moment. A further one is 429. Unset: any number. Without identity everybody is the same "
        "caller.",
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
        description="Whether to listen beyond loopback without identity: everybody who can reach the port "
        "can then run programs in the cluster.",
    )
    identity: Annotated[Identity, BeforeValidator(lower)] = Field(
        "none",
        description="How callers are identified: none (everybody may do everything), oidc (by tokens of an "
        "OpenID Connect provider), or kubernetes (by tokens that the API server accepts; RBAC decides what "
        "they may do).",
    )
    oidc_issuer: Annotated[str | None, AfterValidator(_issuer)] = Field(
        None, description="The OpenID Connect provider's issuer: an https URL, exactly as tokens have it."
    )
    oidc_audiences: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items)] = Field(
        (), description="Accepted audiences (aud) of tokens, separated by commas: usually the client's id."
    )
    oidc_algorithms: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(items), AfterValidator(_algorithms)
    ] = Field(("RS256", "ES256"), description="The accepted algorithms of signatures, separated by commas.")
    oidc_groups_claim: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "groups",
        description="The claim with the caller's groups; a path such as `resource_access.app.groups`.",
    )
    oidc_roles_claim: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "roles", description="The claim with the caller's roles; a path such as `realm_access.roles`."
    )
    oidc_name_claims: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items)] = Field(
        ("name", "preferred_username", "email"),
        description="The claims with the caller's display name, separated by commas; the first that a token "
        "has is used.",
    )
    oidc_ca_file: Path | None = Field(
        None,
        description="Certificates of further authorities to trust when connecting to the provider: a PEM "
        "file.",
    )
    kubernetes_audiences: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items)] = Field(
        (),
        description="Accepted audiences of tokens with IDENTITY=kubernetes, separated by commas. Unset: that "
        "of the API server, so that every Pod's own token is accepted.",
    )
    teams_file: Path | None = Field(
        None,
        description="A YAML file with teams: which groups belong to which namespaces, with which roles, and "
        "who is an administrator. It is read again when it changes. Unset: with oidc everybody with a token "
        "of the provider belongs to the team.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(items), AfterValidator(_origins)] = (
        Field(
            (),
            description="Origins of web pages that may use the API, separated by commas; * for all.",
        )
    )
    archive_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        None,
        description="The database of the archive, if KEEP names it: sqlite:////path/of/a/file, for one "
        "facade alone, or postgresql://user:password@host/database. `nightcrawler-api migrate` makes its "
        "tables, and brings them up to date.",
    )
    keep_lease_name: DnsLabel = Field(
        "nightcrawler-keeper",
        description="The Lease by which several replicas agree on the one that writes archive and log store.",
    )
    keep_lease_namespace: DnsLabel = Field(
        default_factory=own_namespace,
        description="The namespace of that Lease. Unset: the Pod's own namespace, else `default`.",
    )
    archive_keep_for: Span = Field(
        180 * 24 * 3600.0,
        description="How long runs stay in the archive after they have ended, and their logs in the log "
        "store.",
    )
    archive_keep_runs: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        1_000_000, description="How many runs stay in the archive at most: the newest."
    )
    audit_keep_for: Span = Field(
        365 * 24 * 3600.0,
        description="How long audit records stay in the archive; the log has them too.",
    )
    log_url: Annotated[str, AfterValidator(_log_store)] | None = Field(
        None,
        description="The log store, if KEEP names logs: file:///path/of/a/folder, for one facade alone, or "
        "s3://bucket/prefix, with credentials, region and endpoint in AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL.",
    )
    log_bytes: Annotated[int, BeforeValidator(_amount)] = Field(
        64 * 1024**2,
        description="How much is kept of the log of each attempt of a step, such as 64Mi: its beginning and "
        "its end; from 2Mi on.",
    )
    log_total_bytes: Annotated[int, BeforeValidator(_amount)] = Field(
        50 * 1024**3,
        description="How much is kept of all logs, such as 50Gi: beyond that, the oldest are removed.",
    )
    default_user: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "anonymous", description="The name of the creator and executor without identity."
    )
    template_workflow: (
        Annotated[str, Field(pattern=names.DNS_LABEL_PATTERN, max_length=names.MAX_WORKFLOW_NAME)] | None
    ) = Field(
        None,
        description="A Workflow whose steps and config are used for workflows that are created without "
        "steps. Unset: these cannot run until they are given steps.",
    )

    @model_validator(mode="after")
    def _strangers_stay_out(self) -> Self:
        known = self.identity != "none"
        if not known and not self.allow_unauthenticated and not is_loopback(self.api_host):
            raise ValueError(
                f"{variable('api_host')} {self.api_host!r} would let everyone who reaches this machine run "
                f"workflows, because callers are not identified: set {variable('identity')}, or listen on "
                f"127.0.0.1, or set {variable('allow_unauthenticated')}=true if something else keeps "
                "strangers out."
            )
        return self

    @model_validator(mode="after")
    def _logs_have_a_place(self) -> Self:
        if self.keeps_logs and self.log_url is None:
            raise ValueError(
                f"{variable('keep')} names logs, and {variable('log_url')} names no store: set it to "
                "file:///path/of/a/folder or s3://bucket/prefix."
            )
        return self

    @model_validator(mode="after")
    def _archive_has_a_place(self) -> Self:
        if self.archives and self.archive_url is None:
            raise ValueError(
                f"{variable('keep')} names the archive, and {variable('archive_url')} names no database: "
                "set it to sqlite:////path/of/a/file or postgresql://user:password@host/database."
            )
        return self

    @model_validator(mode="after")
    def _identity_is_complete(self) -> Self:
        if self.identity == "oidc":
            for field in ("oidc_issuer", "oidc_audiences"):
                if not getattr(self, field):
                    raise ValueError(
                        f"{variable('identity')}=oidc needs {variable(field)}, by which tokens are accepted."
                    )
        elif self.identity == "none" and self.teams_file is not None:
            raise ValueError(
                f"{variable('teams_file')} has no effect with {variable('identity')}=none: set "
                f"{variable('identity')} to oidc or kubernetes, or leave the file out."
            )
        return self

    @property
    def other_namespaces(self) -> tuple[str, ...] | None:
        """The namespaces that are served besides the home namespace; None: all."""
        return None if self.namespaces == "*" else tuple(self.namespaces)

    @model_validator(mode="after")
    def _secrets_stay_in(self) -> Self:
        own, named = pod_namespace(), {self.namespace, *self.namespaces}
        if own is not None and own in named and not self.allow_own_namespace:
            raise ValueError(
                f"{variable('namespace')} {own!r} is the namespace that this facade runs in: callers could "
                "read the installation's Secrets with a workflow that prints them. Serve another namespace, "
                f"such as nightcrawler-workflows, or set {variable('allow_own_namespace')}=true if you "
                "accept that."
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
    return read(Settings)
