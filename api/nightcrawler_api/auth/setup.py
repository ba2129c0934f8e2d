"""Identity as configured: how callers are identified, and how their rights are decided."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from nightcrawler_api.auth.claims import ClaimRules
from nightcrawler_api.auth.identified import Callers, Identified, Unidentified
from nightcrawler_api.auth.reviews import Reviews
from nightcrawler_api.auth.teams import NOBODY, everyone_of
from nightcrawler_api.auth.teamsfile import Teams
from nightcrawler_api.settings import Settings
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.variables import variable

if TYPE_CHECKING:
    from nightcrawler_api.auth.issuer import IssuerKeys


@dataclass(frozen=True, slots=True)
class Identity:
    """The parts of identity.

    Attributes:
        teams: Places callers in their teams.
        callers: Identifies callers; None without identity.
        reviews: Decides by Kubernetes' rights; None if the teams do.
        keys: The keys of the OIDC provider; None without one.
    """

    teams: Teams
    callers: Callers | None = None
    reviews: Reviews | None = None
    keys: IssuerKeys | None = None

    @property
    def is_known(self) -> bool:
        """Whether callers are identified, and so visibility and permissions are enforced."""
        return self.callers is not None

    @property
    def problem(self) -> str:
        """What is wrong with the teams file or the identity provider now; empty if nothing is known to be."""
        self.teams.refresh()
        found = []
        if self.teams.failure:
            found.append(
                f"the teams file cannot be used, and its former content stays in effect: {self.teams.failure}"
            )
        if self.keys is not None and self.keys.failure:
            found.append(f"the identity provider's keys cannot be fetched: {self.keys.failure}")
        return "; ".join(found)

    def in_front(self, app: ASGIApp, default_user: str, open_paths: Collection[str]) -> ASGIApp:
        """An application whose requests have their callers."""
        if self.callers is None:
            return Unidentified(app, default_user)
        return Identified(app, self.callers, self.teams, open_paths)

    async def close(self) -> None:
        """End connections to the identity provider."""
        if self.keys is not None:
            await self.keys.close()


def identity_of(settings: Settings, store: Store) -> Identity:
    """The identity of an installation.

    Raises:
        ConfigurationError: The teams file or the certificates cannot be used.
    """
    if settings.identity == "none":
        return Identity(Teams(NOBODY))
    # In kubernetes mode RBAC grants access to namespaces; the file assigns roles and administrators only.
    rules = NOBODY if settings.identity == "kubernetes" else everyone_of(settings.namespace)
    teams = Teams(rules, settings.teams_file)
    if settings.identity == "kubernetes":
        reviews = Reviews(store, settings.kubernetes_audiences)
        return Identity(teams, reviews, reviews)
    return _oidc(settings, teams)


def _oidc(settings: Settings, teams: Teams) -> Identity:
    # Only here: cryptography takes 10 MB.
    from nightcrawler_api.auth.issuer import IssuerKeys  # noqa: PLC0415
    from nightcrawler_api.auth.oidc import OidcCallers  # noqa: PLC0415

    assert settings.oidc_issuer is not None, "the settings see to it"
    keys = IssuerKeys(settings.oidc_issuer, _tls(settings))
    rules = ClaimRules(
        settings.oidc_issuer,
        frozenset(settings.oidc_audiences),
        settings.oidc_groups_claim,
        settings.oidc_roles_claim,
        settings.oidc_name_claims,
    )
    return Identity(teams, OidcCallers(keys, rules, settings.oidc_algorithms), keys=keys)


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    if settings.oidc_ca_file is None:
        return True
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=str(settings.oidc_ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{variable('oidc_ca_file')} {str(settings.oidc_ca_file)!r} cannot be used: {error}"
        ) from error
    return context
