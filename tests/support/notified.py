"""A namespace whose runs are reported to receivers of the tests."""

from __future__ import annotations

from dataclasses import dataclass

from standardwebhooks import Webhook

from nightcrawler_crds import names
from tests.support.messaging import SIGNING_SECRET, TOKEN
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.receivers import MailReceiver, WebReceiver
from tests.support.team import Json, Team


@dataclass
class Notified:
    """The receivers, and an operator whose installation sends to them."""

    team: Team
    operators: Operators
    web: WebReceiver
    mail: MailReceiver
    settings: Json

    def events(self, path: str = f"/hook/{TOKEN}", secret: str = SIGNING_SECRET) -> list[Json]:
        """The events that came to a path, each with its signature checked."""
        return [Webhook(secret).verify(one.body, one.headers) for one in self.web.to(path)]

    def events_of(self, run: str, path: str = f"/hook/{TOKEN}", secret: str = SIGNING_SECRET) -> list[str]:
        """The kinds of the events of a run, in the order in which they arrived."""
        return [one["data"]["event"] for one in self.events(path, secret) if one["subject"] == run]

    def own_secret(self, **values: str) -> None:
        """Give the namespace targets of its own; none take it away."""
        path = f"/api/v1/namespaces/{self.team.namespace}/secrets"
        api = self.team.cluster.api
        if api.exists(f"{path}/{names.NOTIFICATIONS_SECRET}"):
            api.delete(f"{path}/{names.NOTIFICATIONS_SECRET}")
        if values:
            data = {key.replace("_", "-"): value for key, value in values.items()}
            api.post(path, {"metadata": {"name": names.NOTIFICATIONS_SECRET}, "stringData": data})

    def until_notice(self, run: str, key: str, state: str, within: float = 30.0) -> Json:
        """What is recorded of a message, once it is in this state."""
        return eventually(
            lambda: self.team.status(run).get("notifications", {}).get(key, {}),
            until=lambda seen: seen.get("state") == state,
            what=f"the message {key} of {run} to be {state}",
            within=within,
        )

    def until_settled(self, run: str) -> Json:
        """The status of a run that owes nothing any more."""
        return eventually(
            lambda: self.team.status(run),
            until=lambda seen: seen.get("settled") is True,
            what=f"{run} to settle",
        )
