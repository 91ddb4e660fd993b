"""Requests about remotes that write: what they answer, refuse, and leave as it was."""

from functools import partial

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.limits import URL_BYTES
from moot_protocol.requests.exchange import (
    MQTT_VERSIONS,
    AddRemote,
    Invites,
    OutboxInfo,
    Planes,
    RemoteOptions,
    Remotes,
    RemoveRemote,
    SetMode,
    ShowPlane,
)
from moot_protocol.requests.federation import IsolatePlane
from moot_testkit.bytes.feeds import seed
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.exchange_calls import (
    BARE_URL,
    OLD_URL,
    URL,
    add,
    add_as_of_old,
    epoch_of,
    invite,
    put_frame,
    refused,
)
from moot_testkit.towns.town import START_MS, Api, make_api, make_town
from mootd.engine.exchange import carried
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.store.port import Table


def test_a_remote_that_is_added_opens_the_town_s_planes_that_may_be_shared() -> None:
    api = make_api()
    assert epoch_of(api) == ""
    added = add(api, options=RemoteOptions(user="ada"), mode="manual")
    assert added == {"name": "origin", "kind": "git", "url": BARE_URL, "mode": "manual"}
    assert len(epoch_of(api)) == 16
    assert epoch_of(api, "operational") == ""


def test_a_version_of_mqtt_that_is_not_spoken_is_refused() -> None:
    api = make_api()
    for protocol in MQTT_VERSIONS:
        add(api, f"mqtt://host-{protocol or 5}", kind="mqtt", options=RemoteOptions(protocol=protocol))
    other = RemoteOptions(protocol="3.1")
    assert refusal_code(lambda: add(api, "mqtt://host", kind="mqtt", options=other)) is Code.INVALID


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.org:8080/a/b.git", "git.example.org"),
        ("git@host:town.git", "git-host-town.git"),
        ("file:///srv/town.git/", "town.git"),
        ("/srv/a town", "a-town"),
        ("///", "remote"),
        ("https://[::1]/x", "1"),
        ("https://[12]/x", "x"),
    ],
)
def test_a_remote_without_a_name_is_called_origin_or_after_its_host(url: str, name: str) -> None:
    api = make_api()
    assert add(api, "/srv/x")["name"] == "origin"
    assert add(api, url)["name"] == name
    assert add(api, url, options=RemoteOptions(user="bob"))["name"] == f"{name}-2"
    assert add(api, url, options=RemoteOptions(user="eve"), name="mine")["name"] == "mine"


def test_a_remote_with_the_address_of_another_is_refused_unless_it_has_another_user() -> None:
    api = make_api()
    add(api, URL)
    for url in (URL, URL + "/"):
        with pytest.raises(MootError, match="remote origin has this address already"):
            add(api, url, name="mine")
    others = [add(api, url)["name"] for url in (BARE_URL, "https://bob@example.org/town.git")]
    assert len({"origin", *others}) == len(api.call(Remotes())) == 3


@pytest.mark.parametrize("url", ["", "a\nb", "https://[x/y", "https://a:b/c@d", "/" + "x" * URL_BYTES])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert refused(make_api(), AddRemote(actor="ada", kind="git", url=url)) is Code.INVALID


@pytest.mark.parametrize("url", [OLD_URL, "https://ghp_hunter2@example.org/x", "https://example.org/x?t=hunter2"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_address_of_a_git_remote_with_a_secret_is_refused_and_nothing_of_it_kept(url: str, dry_run: bool) -> None:
    api = make_api()
    request = AddRemote(actor="ada", kind="git", url=url, dry_run=dry_run)
    with pytest.raises(MootError, match="stands in this one") as caught:
        api.call(request)
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert refused(api, request) is Code.INVALID
    with api.member.replica.read() as reader:
        assert not [value for _, value in reader.scan(Table.META, b"", b"\xff" * 16) if b"hunter2" in value]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_token_in_the_address_of_a_broker_is_refused_and_nothing_of_it_kept(*, dry_run: bool) -> None:
    api = make_api()
    url = "mqtts://glpat-hunter2hunter2hunter2@broker.example.org"
    with pytest.raises(MootError, match="access token stands in this one") as caught:
        api.call(AddRemote(actor="ada", kind="mqtt", url=url, dry_run=dry_run))
    assert "hunter2" not in caught.value.message + caught.value.hint
    with api.member.replica.read() as reader:
        assert not [value for _, value in reader.scan(Table.META, b"", b"\xff" * 16) if b"hunter2" in value]


@pytest.mark.parametrize("url", ["git@host:town.git", "ssh://git@host/town.git", "https://ada@host/town.git"])
def test_the_user_that_a_git_remote_is_reached_as_is_no_secret(url: str) -> None:
    assert add(make_api(), url)["kind"] == "git"


def test_a_remote_that_has_had_a_secret_in_its_address_since_before_can_be_replaced() -> None:
    api = make_api()
    add_as_of_old(api)
    api.call(RemoveRemote(actor="ada", name="origin"))
    assert add(api)["name"] == "origin"


def test_a_name_a_kind_or_a_mode_that_is_none_is_refused() -> None:
    api = make_api()
    add(api, name="one")
    assert refused(api, AddRemote(actor="ada", kind="git", url="/srv/x", name="one")) is Code.EXISTS
    assert refused(api, AddRemote(actor="ada", kind="ftp", url="/srv/x")) is Code.INVALID
    assert refused(api, AddRemote(actor="ada", kind="git", url="/srv/x", mode="often")) is Code.INVALID


def test_a_machine_without_the_town_s_key_adds_remotes_too() -> None:
    _, member = make_town(2)
    api = Api(member)
    assert add(api)["name"] == "origin"
    assert epoch_of(api) == ""


def test_a_remote_goes_with_its_queue() -> None:
    api = make_api()
    add(api)
    before = (seed("author"), carried.NOTHING)
    frame = OutFrame(1, "batches", b"frame", START_MS, (before,))
    for _ in range(3):
        api.member.commit(lambda unit: Outbox(unit.transaction, 1).put(frame))
    assert api.call(RemoveRemote(actor="ada", name="origin")) == {"name": "origin", "queued": 3}
    assert (api.call(Remotes()), api.call(OutboxInfo())) == ([], [])
    with api.member.replica.read() as reader:
        assert not carried.has_rewinds(reader, 1, 1)
    assert refused(api, RemoveRemote(actor="ada", name="origin")) is Code.NOT_FOUND


def test_a_dry_run_changes_nothing() -> None:
    api = make_api()
    before = api.call(Planes())
    assert add(api, dry_run=True)["name"] == "origin"
    assert invite(api, dry_run=True)["plane"] == "ledger"
    assert (api.call(Remotes()), api.call(Invites()), api.call(Planes())) == ([], [], before)


def test_a_mode_is_set_for_a_plane_and_a_remote() -> None:
    api = make_api()
    add(api)
    answer = {"plane": "ledger", "remote": "origin", "mode": "off"}
    assert api.call(SetMode(actor="ada", plane="ledger", remote="origin", mode="off")) == answer
    plane = api.member.ledger.id.hex()
    assert api.call(SetMode(actor="ada", plane=plane[:6], remote="origin", mode="off")) == answer
    assert api.call(Remotes())[0]["planes"] == [{"plane": "ledger", "mode": "off"}]


def test_what_is_not_there_or_may_not_be_shared_gets_no_mode() -> None:
    api = make_api()
    add(api)

    def code(plane: str, remote: str = "origin", mode: str = "auto") -> Code:
        return refused(api, SetMode(actor="ada", plane=plane, remote=remote, mode=mode))

    assert code("operational") is Code.DENIED
    assert code("nothing") is Code.NOT_FOUND
    assert code(api.member.ledger.id.hex()[:3]) is Code.NOT_FOUND
    assert code("ledger", "nowhere") is Code.NOT_FOUND
    assert code("ledger", mode="never") is Code.INVALID


def test_isolating_a_plane_empties_the_queues_of_other_remotes_and_keeps_tickets_from_naming_them() -> None:
    api = make_api()
    for name in ("named", "other"):
        api.call(AddRemote(actor="ada", name=name, kind="git", url=f"https://example.org/{name}.git"))
    plane = api.member.ledger.number
    frame = OutFrame(plane, "batches", b"sealed", 0, (), 0)
    for remote in (1, 2):
        api.member.commit(partial(put_frame, remote, frame))
    made = api.call(IsolatePlane(actor="ada", plane="ledger", to=("named",)))
    assert made == {"plane": "ledger", "is_isolated": True, "remotes": ["named"], "withdrawn": 1}
    assert [box["frames"] for box in api.call(OutboxInfo())] == [1, 0]
    api.call(AddRemote(actor="ada", name="later", kind="git", url="https://example.org/later.git"))
    shown = api.call(ShowPlane(plane="ledger"))
    assert [each["mode"] for each in shown["remotes"]] == ["auto", "off", "off"]
    assert shown["is_isolated"]
    assert [each["url"] for each in invite(api)["remotes"]] == ["https://example.org/named.git"]
    assert (
        refusal_code(lambda: api.call(SetMode(actor="ada", plane="ledger", remote="later", mode="auto")))
        is Code.CONFLICT
    )
    assert refusal_code(lambda: api.call(IsolatePlane(actor="ada", plane="ledger", to=("none",)))) is Code.NOT_FOUND
    assert refusal_code(lambda: api.call(IsolatePlane(actor="ada", plane="operational", to=("named",)))) is Code.INVALID
    ended = api.call(IsolatePlane(actor="ada", plane="ledger", off=True))
    assert (ended["is_isolated"], "is_isolated" in api.call(ShowPlane(plane="ledger"))) == (False, False)
