"""Requests about planes, remotes and invites, as tests make them."""

from typing import Any

from moot_protocol.errors import Code
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import AddRemote, Invite, Invites, Join, Planes, Remotes, ShowPlane
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.town import Api, Member
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.machine.remotes import add_remote
from mootd.engine.unit import Unit

URL = "https://ada@example.org/town.git"
OLD_URL = "https://ada:hunter2@example.org/town.git"
BARE_URL = "https://example.org/town.git"


def add(api: Api, url: str = URL, **parts: Any) -> dict[str, Any]:
    return api.call(AddRemote(actor="ada", kind=parts.pop("kind", "git"), url=url, **parts))


def add_as_of_old(api: Api, url: str = OLD_URL) -> None:
    """Add a Git remote whose address holds a secret, as could be done once."""
    api.member.commit(lambda unit: add_remote(unit, "origin", "git", url, "auto", {}))


def invite(api: Api, **parts: Any) -> dict[str, Any]:
    return api.call(Invite(actor="ada", **parts))


def join(api: Api, ticket: str, **parts: Any) -> dict[str, Any]:
    return api.call(Join(actor="bob", ticket=ticket, **parts))


def newcomer(name: str = "newcomer") -> Api:
    return Api(Member(name, 5))


def epoch_of(api: Api, name: str = "ledger") -> str:
    return str(api.call(ShowPlane(plane=name))["epoch"])


def refused(api: Api, request: Request[Any]) -> Code:
    """The code of a refusal that leaves everything as it was."""
    before = (api.call(Planes()), api.call(Remotes()), api.call(Invites()))
    code = refusal_code(lambda: api.call(request))
    assert (api.call(Planes()), api.call(Remotes()), api.call(Invites())) == before
    return code


def put_frame(remote: int, frame: OutFrame, unit: Unit) -> None:
    Outbox(unit.transaction, remote).put(frame)
