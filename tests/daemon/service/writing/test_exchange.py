"""Requests about planes, remotes and invites that write: what they answer, refuse, and leave as it was."""

from functools import partial

import pytest
from msgspec.structs import replace

from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.limits import TICKET_REMOTES
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.exchange import (
    AddRemote,
    CloseInvite,
    CreatePlane,
    Invite,
    Invites,
    Planes,
    Remotes,
    SetMode,
)
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.requests.membership import RotateTownKey
from moot_protocol.time_units import DAY_MS
from moot_protocol.trust.ticket import Remote, RemoteKind, decode_ticket, encode_ticket
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import plane_of, send
from moot_testkit.towns.exchange_calls import (
    BARE_URL,
    add,
    add_as_of_old,
    epoch_of,
    invite,
    join,
    newcomer,
    refused,
)
from moot_testkit.towns.town import PROJECT, START_MS, Api, make_api, make_town
from mootd.engine.stored import layout
from mootd.store.port import Table


# -- Requests that come again
def test_a_request_that_comes_again_under_its_key_is_carried_out_once() -> None:
    api = make_api()
    request = AddRemote(actor="ada", kind="git", url="/srv/x")
    assert api.call(request, "key 1") == api.call(request, "key 1")
    assert len(api.call(Remotes())) == 1


def test_tickets_are_never_kept_to_be_answered_again() -> None:
    api = make_api()
    tickets = [api.call(Invite(actor="ada"), "key 1")["ticket"] for _ in range(2)]
    assert tickets[0] != tickets[1]
    assert api.call(AddRemote(actor="ada", kind="git", url="/srv/x"), "key 2")
    with api.member.replica.read() as reader:
        kept = [value for _, value in reader.scan(Table.META, layout.ANSWERS, layout.after(layout.ANSWERS))]
    assert len(kept) == 1
    assert not any(b"moot1" in value for value in kept)


# -- Planes ------------------------------------------------------------------------------------------------------
def test_a_town_founds_more_planes_under_the_same_recovery_key() -> None:
    api = make_api()
    made = api.call(CreatePlane(actor="ada", name="works"))
    assert made == {
        "name": "works",
        "plane": made["plane"],
        "kind": "ledger",
        "town": key_text(api.member.ledger.town),
    }
    assert epoch_of(api, "works") == ""
    assert refused(api, CreatePlane(actor="ada", name="works")) is Code.EXISTS
    assert refused(api, CreatePlane(actor="ada", name="Works!")) is Code.INVALID
    assert refused(api, CreatePlane(actor="ada", name="other", kind="public")) is Code.INVALID


def test_a_plane_that_is_founded_when_there_are_remotes_is_ready_for_them() -> None:
    api = make_api()
    add(api)
    for kind, is_open in (("ledger", True), ("federation", True), ("operational", False)):
        api.call(CreatePlane(actor="ada", name=f"new-{kind}", kind=kind))
        assert bool(epoch_of(api, f"new-{kind}")) is is_open


def test_without_a_town_there_are_no_planes_to_speak_of() -> None:
    api = newcomer()
    for request in (CreatePlane(actor="ada", name="works"), Invite(actor="ada")):
        assert refused(api, request) is Code.NOT_READY


# -- Invites -----------------------------------------------------------------------------------------------------
def test_an_invite_names_the_plane_s_remotes_without_credentials() -> None:
    api = make_api()
    add_as_of_old(api)
    add(api, "mqtts://bob@broker.example.org", kind="mqtt")
    add(api, "https://off.example.org/x", mode="off")
    made = invite(api)
    shown = [
        {"kind": "git", "url": BARE_URL},
        {"kind": "mqtt", "url": "mqtts://broker.example.org"},
    ]
    assert made["remotes"] == shown
    ticket = decode_ticket(made["ticket"])
    assert [{"kind": str(each.kind), "url": each.url} for each in ticket.remotes] == shown
    assert (made["plane"], made["role"], made["expires_ms"]) == ("ledger", "writer", START_MS + DAY_MS)
    assert "hunter2" not in repr(made)


def test_an_invite_can_be_a_reader_s_and_have_its_own_time() -> None:
    api = make_api()
    invite(api, role="reader", expires_ms=START_MS + 5)
    (shown,) = api.call(Invites())
    assert (shown["role"], shown["expires_ms"], shown["state"]) == ("reader", START_MS + 5, "open")


def test_nobody_is_invited_to_an_operational_plane_or_as_what_there_is_not() -> None:
    api = make_api()
    assert refused(api, Invite(actor="ada", plane="operational")) is Code.DENIED
    assert refused(api, Invite(actor="ada", plane="nothing")) is Code.NOT_FOUND
    assert refused(api, Invite(actor="ada", role="owner")) is Code.INVALID
    assert refused(api, Invite(actor="ada", role="admin")) is Code.INVALID
    assert refused(api, Invite(actor="ada", expires_ms=-1)) is Code.INVALID


def test_an_invite_whose_ticket_would_be_too_long_is_not_made() -> None:
    api = make_api()
    for number in range(TICKET_REMOTES + 1):
        add(api, f"https://host{number}.example.org/x")
    assert refused(api, Invite(actor="ada")) is Code.LIMIT


def test_only_the_town_s_machine_invites_and_closes() -> None:
    founder, other = make_town(2)
    made = invite(Api(founder))
    other.take(*founder.batches(founder.ledger.town, after=1))
    api = Api(other)
    assert refused(api, Invite(actor="bob")) is Code.DENIED
    assert refused(api, CloseInvite(actor="bob", invite=made["invite"])) is Code.DENIED


def test_an_invite_is_closed_by_the_beginning_of_its_key() -> None:
    api = make_api()
    made = [invite(api)["invite"] for _ in range(2)]
    assert refused(api, CloseInvite(actor="ada", invite="")) is Code.AMBIGUOUS
    assert refused(api, CloseInvite(actor="ada", invite="nothing")) is Code.NOT_FOUND
    assert refused(api, CloseInvite(actor="ada", invite=made[0], keep=("nobody",))) is Code.INVALID
    answer = api.call(CloseInvite(actor="ada", invite=made[0][:12]))
    assert answer == {"invite": made[0], "plane": "ledger", "state": "closed", "users": []}
    assert refused(api, CloseInvite(actor="ada", invite=made[0])) is Code.CONFLICT
    assert {each["invite"]: each["state"] for each in api.call(Invites())} == {made[0]: "closed", made[1]: "open"}


def test_a_close_says_who_counts() -> None:
    one, two = make_api(), newcomer()
    made = invite(one)
    join(two, made["ticket"])
    plane = one.member.ledger.id
    send(one.member, two.member)
    send(two.member, one.member, plane)
    name = key_text(two.member.id)
    assert one.call(Invites())[0]["users"] == [name]
    assert one.call(CloseInvite(actor="ada", invite=made["invite"], keep=(name,)))["users"] == [name]


# -- Joining -----------------------------------------------------------------------------------------------------
def test_a_machine_without_a_town_gets_one_for_what_never_leaves_it() -> None:
    one, two = make_api(), newcomer()
    add(one)
    ticket = invite(one)["ticket"]
    joined = join(two, ticket)
    assert joined == {
        "plane": one.member.ledger.id.hex(),
        "name": "ledger",
        "town": key_text(one.member.ledger.town),
        "role": "",  # the charter, which hasn't come, tells
        "is_for_town": False,
        "own_town": key_text(one.member.ledger.town),
        "state": "waiting",
        "created": True,
        "is_again": False,
        "replica": key_text(two.member.id),
        "is_new_key": False,
        "left": [],
        "remotes": ["origin"],
        "clashes": [],
        "recovery_words": "",  # they would speak for nothing that leaves this machine
        "init_plane": "",  # as the first ledger, it is where projects go
    }
    assert [(each["name"], each["kind"], each["state"]) for each in two.call(Planes())] == [
        ("operational", "operational", "ready"),
        ("ledger", "ledger", "waiting"),
    ]
    assert [(each["name"], each["url"], each["planes"]) for each in two.call(Remotes())] == [
        ("origin", BARE_URL, [{"plane": "ledger", "mode": "auto"}])
    ]


def test_a_machine_of_a_town_with_a_new_key_goes_on_under_one_of_its_own_on_its_own_planes_too() -> None:
    one, two = make_api(), newcomer()
    join(two, invite(one)["ticket"])
    plane = one.member.ledger.id
    send(one.member, two.member)
    send(two.member, one.member, plane)
    one.call(RotateTownKey(actor="ada"))
    send(one.member, two.member)
    before = key_text(two.member.id)
    joined = join(two, invite(one)["ticket"])
    assert (joined["created"], joined["is_again"], joined["is_new_key"]) == (False, True, True)
    assert (joined["state"], joined["left"], joined["recovery_words"]) == ("waiting", [], "")
    assert joined["replica"] == key_text(two.member.id) != before
    two.call(CreatePlane(actor="bob", name="own", kind="federation"))
    kept = two.call(ListAudit())["records"]
    assert [each["event_type"] for each in reversed(kept)] == ["plane_joined", "plane_joined", "plane_created"]
    send(one.member, two.member)
    create = Create(actor="bob", project=PROJECT, plane=plane.hex(), fields=IssueFields(title="under the new key"))
    assert two.call(create)


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_joining_again_says_how_far_it_has_come_and_as_what_and_adds_nothing(role: str) -> None:
    one, two = make_api(), newcomer()
    add(one)
    ticket = invite(one, role=role)["ticket"]
    join(two, ticket)
    again = join(two, ticket)
    assert (again["created"], again["state"], again["role"], again["recovery_words"]) == (False, "waiting", "", "")
    assert again["remotes"] == ["origin"]
    send(one.member, two.member)
    again = join(two, ticket)
    assert (again["created"], again["state"], again["role"], again["remotes"]) == (False, "ready", role, [])
    assert len(two.call(Planes())) == 2


def test_a_machine_with_a_town_keeps_its_planes_and_its_remotes() -> None:
    one, two = make_api(), make_api(seed=9)
    add(one)
    add(two)
    before = [each["plane"] for each in two.call(Planes())]
    joined = join(two, invite(one)["ticket"])
    assert (joined["recovery_words"], joined["remotes"]) == ("", ["origin"])
    assert joined["name"] == f"ledger-{one.member.ledger.id.hex()[:4]}"
    assert [each["plane"] for each in two.call(Planes())][:-1] == before
    assert [each["name"] for each in two.call(Remotes())] == ["origin"]


def test_a_machine_s_other_planes_stay_away_from_the_remotes_of_a_ticket() -> None:
    one, two = make_api(), make_api(seed=9)
    add(one)
    joined = join(two, invite(one)["ticket"])
    (shown,) = two.call(Remotes())
    assert {each["plane"]: each["mode"] for each in shown["planes"]} == {"ledger": "off", joined["name"]: "auto"}


def modes(api: Api) -> dict[str, str]:
    (shown,) = api.call(Remotes())
    return {each["plane"]: each["mode"] for each in shown["planes"]}


def test_a_second_plane_goes_through_the_remote_that_came_with_the_first() -> None:
    one, two = make_api(), newcomer()
    add(one)
    one.call(CreatePlane(actor="ada", name="bridge"))
    join(two, invite(one)["ticket"])
    assert join(two, invite(one, plane="bridge")["ticket"])["remotes"] == ["origin"]
    assert modes(two) == {"ledger": "auto", "bridge": "auto"}


def test_a_remote_that_this_machine_exchanges_with_by_hand_stays_so_for_a_plane_that_is_joined() -> None:
    one, two = make_api(), make_api(seed=9)
    add(one)
    add(two, mode="manual")
    joined = join(two, invite(one)["ticket"])
    assert modes(two)[joined["name"]] == "manual"


def test_joining_again_a_plane_that_is_in_use_turns_on_no_exchange() -> None:
    one, two = make_api(), newcomer()
    add(one)
    ticket = invite(one)["ticket"]
    join(two, ticket)
    send(one.member, two.member)
    two.call(SetMode(actor="bob", plane="ledger", remote="origin", mode="off"))
    assert join(two, ticket)["remotes"] == []
    assert modes(two) == {"ledger": "off"}


def test_writes_wait_for_the_charter_and_count_after_it() -> None:
    one, two = make_api(), newcomer()
    join(two, invite(one)["ticket"])
    request = Create(actor="bob", project=PROJECT, fields=IssueFields(title="mine"))
    assert refusal_code(lambda: two.call(InitProject(actor="bob", prefix="other"))) is Code.NOT_READY
    send(one.member, two.member)
    made = two.call(request)
    send(two.member, one.member, plane_of(two.member, one.member.ledger.id).id)
    number = one.member.replica.feed_numbers[one.member.ledger.number, two.member.id]
    assert one.member.replica.feeds[number].n == 2
    assert made["title"] == "mine"


def test_a_ticket_that_was_cut_or_is_none_changes_nothing() -> None:
    one, two = make_api(), newcomer()
    ticket = invite(one)["ticket"]
    for text in ("", "moot1", ticket[:-3], ticket.replace(ticket[40], "z" if ticket[40] != "z" else "y", 1)):
        assert refusal_code(partial(join, two, text)) is Code.INVALID
    assert not two.member.replica.is_founded


def test_a_remote_that_a_ticket_names_twice_is_added_once() -> None:
    ticket = decode_ticket(invite(make_api())["ticket"])
    twice = replace(ticket, remotes=(Remote(RemoteKind.GIT, BARE_URL), Remote(RemoteKind.GIT, BARE_URL)))
    assert join(newcomer(), encode_ticket(twice))["remotes"] == ["origin"]


def test_a_ticket_with_an_address_that_is_none_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = decode_ticket(invite(make_api())["ticket"])
    two = newcomer()
    with monkeypatch.context() as patched:
        patched.setattr("moot_protocol.trust.ticket.without_credentials", str)
        text = encode_ticket(replace(ticket, remotes=(Remote(RemoteKind.GIT, "http://[x/y"),)))
    assert refusal_code(lambda: join(two, text)) is Code.INVALID
    assert not two.member.replica.is_founded
    assert two.call(Remotes()) == []
