"""Requests about planes, remotes, invites and queues that read: every answer is of one snapshot and has no secrets."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.clock import minute_of
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody
from moot_protocol.ids import key_text
from moot_protocol.limits import OUTBOX_BYTES, OUTBOX_FRAMES
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import (
    AddRemote,
    CloseInvite,
    CreatePlane,
    Invite,
    Invites,
    OutboxInfo,
    Planes,
    Remotes,
    SetMode,
    ShowPlane,
)
from moot_protocol.requests.issues import InitProject
from moot_protocol.requests.machine import Doctor, Status
from moot_protocol.trust.acceptance import Reason
from moot_testkit.towns.carrying import invited, joined, newcomer, send
from moot_testkit.towns.counting import let_count
from moot_testkit.towns.exchange_calls import add_as_of_old
from moot_testkit.towns.town import PROJECT, START_MS, Api, Member, make_api, make_town
from mootd.config import OutboxConfig
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.machine.members import note_in_step, note_seen
from mootd.engine.machine.reached import note_reached
from mootd.engine.membership.charters import epochs_of
from mootd.engine.membership.inviting import close_invite
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.exchange.progress import MOST_PROBLEMS, Progress
from mootd.exchange.steadiness import MANY
from mootd.remotes import Alarm, Dropped, RefAlarm
from mootd.service.reading import exchange as exchange_reads
from mootd.service.reading.exchange import EXCHANGE_READS, MOST_ALARMS, ExchangeView, queue_alarms, remote_checks

URL = "https://ada@example.org/town.git"
APART = "derives another state from the same events; run `moot fsck` there and here"


def add(api: Api, url: str = URL, **parts: Any) -> None:
    api.call(AddRemote(actor="ada", kind="git", url=url, **parts))


def put(member: Member, size: int, at_ms: int = START_MS, count: int = 1) -> None:
    def work(unit: Any) -> None:
        for _ in range(count):
            Outbox(unit.transaction, 1).put(OutFrame(1, "batches", bytes(size), at_ms))

    member.commit(work)


def view_of(member: Member, request: Request[Any], progress: Progress) -> Any:
    """An answer, as it is while the exchange goes like this."""
    with member.replica.read() as reader:
        view = ExchangeView(member.replica, reader, lambda number: progress, START_MS)
        return EXCHANGE_READS[type(request)](view, request)


# -- Remotes -----------------------------------------------------------------------------------------------------
def test_without_remotes_there_is_nothing_to_tell() -> None:
    api = make_api()
    assert (api.call(Remotes()), api.call(OutboxInfo()), api.call(Invites())) == ([], [], [])


def test_what_waits_is_told_of_the_remotes_of_one_plane_and_a_plane_without_any_is_refused() -> None:
    api = make_api()
    with pytest.raises(RefusedError, match="plane ledger has no remote"):
        api.call(OutboxInfo(plane="ledger"))
    add(api)
    add(api, "file:///srv/x", name="backup")
    api.call(SetMode(actor="ada", plane="ledger", remote="origin", mode="off"))
    assert [box["remote"] for box in api.call(OutboxInfo(plane="ledger"))] == ["backup"]
    assert [box["remote"] for box in api.call(OutboxInfo())] == ["origin", "backup"]


def test_a_remote_is_shown_without_credentials_and_with_the_modes_of_planes_that_may_be_shared() -> None:
    api = make_api()
    add_as_of_old(api)
    add(api, "file:///srv/x", name="backup", mode="manual")
    api.call(SetMode(actor="ada", plane="ledger", remote="origin", mode="off"))
    put(api.member, 10, count=2)
    one, two = api.call(Remotes())
    assert one == {
        "name": "origin",
        "kind": "git",
        "url": "https://example.org/town.git",
        "state": "idle",
        "error": "",
        "code": "",
        "failing_ms": 0,
        "last_ok_ms": 0,
        "next_try_ms": 0,
        "queued": 2,
        "queued_bytes": 20,
        "planes": [{"plane": "ledger", "mode": "off"}],
        "alarms": [{"name": "", "kind": "secret_in_address", "detail": "a password"}],
    }
    assert (two["name"], two["queued"], two["planes"]) == ("backup", 0, [{"plane": "ledger", "mode": "manual"}])
    assert "hunter2" not in repr((one, two))


def test_how_the_exchange_goes_is_told_in_words() -> None:
    add(api := make_api())
    progress = Progress()
    progress.state = "waiting"
    progress.error = RefusedError("no route", code=Code.UNREACHABLE, hint="look at the cable")
    progress.last_ok_ms, progress.failing_ms, progress.next_try_ms = 5, 7, 9
    progress.alarms = [Alarm("refs/moot/x", RefAlarm.FOREIGN, "not ours")]
    progress.note_problems([RefusedError("a bad frame"), RefusedError("a bad frame")])
    progress.note_dropped(Dropped(foreign=3, too_large=1, overflowed=7))
    progress.apart = {api.member.ledger.number: {b"k" * 32}, 99: {b"k" * 32}}
    (shown,) = view_of(api.member, Remotes(), progress)
    assert (shown["state"], shown["error"]) == ("waiting", "no route (look at the cable)")
    assert (shown["code"], shown["last_ok_ms"], shown["failing_ms"], shown["next_try_ms"]) == ("unreachable", 5, 7, 9)
    assert shown["alarms"] == [
        {"name": "refs/moot/x", "kind": "foreign", "detail": "not ours"},
        {"name": "", "kind": "problem", "detail": "invalid: a bad frame (2 times)"},
        {"name": "", "kind": "problem", "detail": "a frame under a name that is none of Moot's (3 times)"},
        {"name": "", "kind": "problem", "detail": "a frame larger than any of Moot's"},
        {"name": "ledger", "kind": "problem", "detail": f"{key_text(b'k' * 32)} {APART}"},
    ]


def test_a_remote_that_was_reached_before_the_daemon_started_is_shown_so() -> None:
    api = make_api()
    add(api)
    api.member.commit(lambda unit: note_reached(unit, 1, 70))
    progress = Progress()
    assert view_of(api.member, Remotes(), progress)[0]["last_ok_ms"] == 70
    progress.succeed(90)
    assert view_of(api.member, Remotes(), progress)[0]["last_ok_ms"] == 90


def test_a_plane_whose_lines_never_last_is_an_alarm_of_the_remote() -> None:
    api = make_api()
    add(api)
    progress, number = Progress(), api.member.ledger.number
    for _ in range(MANY):
        progress.lines.broke(number, 0)
    progress.lines.broke(number + 70, 0)
    (shown,) = view_of(api.member, Remotes(), progress)
    assert shown["alarms"] == [{"name": "ledger", "kind": "breaks_off", "detail": f"{MANY} times in a row"}]


def test_a_member_that_was_removed_is_said_to_differ_no_more() -> None:
    api = make_api()
    add(api)
    progress, number = Progress(), api.member.ledger.number
    progress.apart = {number: {b"k" * 32}}
    with api.member.replica.transaction() as unit:
        feed = unit.feed_number(number, b"k" * 32)
        unit.set_feed(feed, replace(unit.feed(feed), reason=Reason.ENDED))
    (shown,) = view_of(api.member, Remotes(), progress)
    assert shown["alarms"] == []


# -- Queues ------------------------------------------------------------------------------------------------------
def test_a_queue_is_shown_with_its_caps_and_the_age_of_its_oldest_frame() -> None:
    api = make_api()
    add(api)
    empty = {
        "remote": "origin",
        "frames": 0,
        "bytes": 0,
        "most_frames": OUTBOX_FRAMES,
        "most_bytes": OUTBOX_BYTES,
        "oldest_ms": 0,
        "dropped": 0,
        "is_nearly_full": False,
    }
    assert api.call(OutboxInfo()) == [empty]
    put(api.member, 10)
    assert api.call(OutboxInfo()) == [empty | {"frames": 1, "bytes": 10, "oldest_ms": 1}]
    api.clock.advance(5000)
    put(api.member, 10, START_MS + 5000)
    assert api.call(OutboxInfo()) == [empty | {"frames": 2, "bytes": 20, "oldest_ms": 5000}]


def test_a_queue_that_is_nearly_full_or_has_dropped_frames_says_so() -> None:
    api = make_api()
    add(api)
    put(api.member, 1, count=OUTBOX_FRAMES * 8 // 10 - 1)
    assert not api.call(OutboxInfo())[0]["is_nearly_full"]
    put(api.member, 1)
    assert api.call(OutboxInfo())[0]["is_nearly_full"]
    put(api.member, 1, count=OUTBOX_FRAMES * 2 // 10 + 3)
    (shown,) = api.call(OutboxInfo())
    assert (shown["frames"], shown["dropped"]) == (OUTBOX_FRAMES, 3)


def test_a_queue_is_shown_with_the_caps_that_this_machine_was_told() -> None:
    api = make_api()
    add(api)
    put(api.member, 1, count=80)
    assert not api.call(OutboxInfo())[0]["is_nearly_full"]
    api.member.replica.outbox_caps = OutboxConfig(frames=100, bytes=OUTBOX_BYTES)
    (shown,) = api.call(OutboxInfo())
    assert (shown["most_frames"], shown["is_nearly_full"]) == (100, True)
    api.member.replica.outbox_caps = OutboxConfig(OUTBOX_FRAMES, bytes=99)
    (shown,) = api.call(OutboxInfo())
    assert (shown["most_bytes"], shown["is_nearly_full"]) == (99, True)


def test_frames_that_can_t_be_opened_are_told_only_while_their_key_isn_t_here() -> None:
    api = make_api()
    add(api)
    progress = Progress()
    plane = api.member.ledger
    with api.member.replica.read() as reader:
        here = epochs_of(LogSnapshot(reader), plane).newest
    assert here is not None
    progress.note_unopened(plane.number, [b"elsewhre", here.id, b"elsewhre"])
    (shown,) = view_of(api.member, Remotes(), progress)
    assert [each["detail"] for each in shown["alarms"]] == [
        f"unknown_epoch: a frame of epoch {b'elsewhre'.hex()}, whose key isn't here (2 times)"
    ]


def test_a_remote_full_of_keys_that_nobody_knows_makes_no_endless_list_of_alarms() -> None:
    api = make_api()
    add(api)
    progress = Progress()
    made_up = {(api.member.ledger.number, number.to_bytes(8, "big")): 1 for number in range(2 * MOST_PROBLEMS)}
    progress.renew_unopened({api.member.ledger.number}, made_up)
    assert len(view_of(api.member, Remotes(), progress)[0]["alarms"]) == MOST_PROBLEMS


def test_frames_that_somebody_removed_can_t_open_are_no_alarm() -> None:
    one, two = make_town(1)[0], newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    add(Api(two))
    send(one, two, plane.id)
    send(two, one, plane.id)
    progress = Progress()
    progress.note_unopened(plane.number, [b"elsewhre"])
    assert len(view_of(two, Remotes(), progress)[0]["alarms"]) == 1
    one.commit(lambda unit: close_invite(unit, one.ledger, made.key, []))
    send(one, two, plane.id)
    assert view_of(two, Remotes(), progress)[0]["alarms"] == []


# -- Planes ------------------------------------------------------------------------------------------------------
def test_a_plane_is_shown_with_what_it_holds_and_how_it_is_exchanged() -> None:
    api = make_api()
    before = {each["name"]: each for each in api.call(Planes())}
    ledger, operational = before["ledger"], before["operational"]
    assert (ledger["kind"], ledger["state"], ledger["role"]) == ("ledger", "ready", "admin")
    assert (ledger["is_own"], ledger["replicas"], ledger["epoch"]) == (True, 1, "")
    assert ledger["plane"] == api.member.ledger.id.hex()
    assert ledger["town"] == key_text(api.member.ledger.town)
    assert (ledger["projects"], operational["projects"]) == ([PROJECT], [])
    add(api)
    after = {each["name"]: each for each in api.call(Planes())}
    assert after["ledger"]["remotes"] == [{"remote": "origin", "mode": "auto"}]
    recorded = operational["events"] + 1  # that a remote was added
    assert after["operational"] == operational | {"events": recorded}
    assert operational["remotes"] == []
    assert len(after["ledger"]["epoch"]) == 16
    assert after["ledger"]["events"] == ledger["events"] + 1
    api.call(InitProject(actor="ada", prefix="second"))
    assert api.call(Planes())[0]["projects"] == [PROJECT, "second"]


def test_a_plane_that_waits_for_its_charter_says_so() -> None:
    one, two = make_town(1)[0], newcomer()
    joined(two, invited(one).ticket)
    api = Api(two)
    (shown,) = api.call(Planes())
    assert (shown["state"], shown["is_own"], shown["role"], shown["replicas"]) == ("waiting", False, "", 0)
    send(one, two)
    (shown,) = api.call(Planes())
    assert (shown["state"], shown["is_own"], shown["role"], shown["replicas"]) == ("ready", False, "writer", 2)


def test_a_plane_is_shown_with_its_members_and_how_they_came() -> None:
    one, two = make_town(1)[0], newcomer()
    made = invited(one, Role.READER)
    plane = joined(two, made.ticket)
    send(one, two)
    send(two, one, plane.id)
    said = FrontierBody(FORMAT, plane.id, two.id, bytes(32), 1, bytes(32), bytes(32), Form.SUMMARY, ())
    one.clock.advance(50)
    one.commit(lambda unit: note_seen(unit, one.ledger.number, said))
    shown = Api(one).call(ShowPlane(plane="ledger"))
    members = {each["replica"]: each for each in shown["members"]}
    assert members[key_text(one.id)] == {
        "replica": key_text(one.id),
        "role": "admin",
        "state": "ok",
        "events": 1,
        "is_here": True,
        "is_live": False,
        "last_seen_ms": 0,
        "invite": "",
    }
    other = members[key_text(two.id)]
    assert (other["role"], other["events"], other["is_here"]) == ("reader", 1, False)
    assert (other["last_seen_ms"], other["invite"]) == (START_MS + 50, key_text(made.key))
    assert [each["invite"] for each in shown["invites"]] == [key_text(made.key)]
    assert shown == Api(one).call(Planes())[0] | {"members": shown["members"], "invites": shown["invites"]}


def test_a_plane_is_called_by_its_name_or_the_beginning_of_its_id() -> None:
    api = make_api()
    plane = api.member.ledger.id.hex()

    def called(name: str) -> str:
        return str(api.call(ShowPlane(plane=name))["plane"])

    assert called("ledger") == called(plane) == called(plane[:4]) == called(plane[:4].upper()) == plane
    for name in (plane[:3], "", "nothing"):
        with pytest.raises(MootError) as raised:
            called(name)
        assert raised.value.code is Code.NOT_FOUND


def test_a_name_is_taken_before_the_beginning_of_an_id() -> None:
    api = make_api()
    name = "abcdef"
    api.call(CreatePlane(actor="ada", name=name))
    assert api.call(ShowPlane(plane=name))["name"] == name


# -- Invites -----------------------------------------------------------------------------------------------------
def test_an_invite_is_open_then_expired_and_closed_for_good() -> None:
    api = make_api()
    made = api.call(Invite(actor="ada", expires_ms=START_MS + 100))
    shown = {
        "invite": made["invite"],
        "plane": "ledger",
        "role": "writer",
        "expires_ms": START_MS + 100,
        "state": "open",
        "users": [],
    }
    assert api.call(Invites()) == [shown]
    api.clock.advance(100)
    assert api.call(Invites()) == [shown]
    api.clock.advance(1)
    assert api.call(Invites()) == [shown | {"state": "expired"}]
    api.call(CloseInvite(actor="ada", invite=made["invite"]))
    assert api.call(Invites()) == [shown | {"state": "closed"}]
    assert made["ticket"] not in repr(api.call(Invites()))


def test_an_invite_without_a_time_never_expires() -> None:
    member = make_town(1)[0]
    invited(member)
    api = Api(member)
    api.clock.advance(10**10)
    assert [each["state"] for each in api.call(Invites())] == ["open"]


def test_users_of_an_invite_are_those_who_count() -> None:
    one, two = make_town(1)[0], newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    send(one, two)
    send(two, one, plane.id)
    api = Api(one)
    assert [each["users"] for each in api.call(Invites())] == [[key_text(two.id)]]
    api.call(CloseInvite(actor="ada", invite=key_text(made.key), keep=()))
    assert [(each["state"], each["users"]) for each in api.call(Invites())] == [("closed", [])]


def test_of_many_alarms_of_a_kind_some_are_told_and_the_rest_counted() -> None:
    api = make_api()
    add(api)
    progress = Progress()
    progress.alarms = [Alarm(f"refs/moot/{at}", RefAlarm.UNREADABLE) for at in range(5000)]
    progress.alarms += [Alarm("refs/moot/gone", RefAlarm.MISSING)]
    (shown,) = view_of(api.member, Remotes(), progress)
    assert len(shown["alarms"]) == MOST_ALARMS + 2
    assert {"name": "refs/moot/gone", "kind": "missing", "detail": ""} in shown["alarms"]
    assert shown["alarms"][-1] == {"name": "", "kind": "unreadable", "detail": "and 4,980 more"}


# -- For status and doctor ---------------------------------------------------------------------------------------
def checks_of(api: Api, progress: Progress) -> list[dict[str, Any]]:
    """What the doctor finds while the exchange goes like this."""
    return list(remote_checks(view_of(api.member, Remotes(), progress), boxes_of(api)))


def boxes_of(api: Api) -> list[dict[str, Any]]:
    return api.call(OutboxInfo())


def failing(checks: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {check["check"]: (check["detail"], check["hint"]) for check in checks if not check["ok"]}


def test_the_doctor_finds_nothing_wrong_with_a_remote_that_is_reached() -> None:
    api = make_api()
    add(api)
    checks = checks_of(api, Progress())
    assert [check["check"] for check in checks] == [
        "remote origin is reached",
        "queue for remote origin has room",
        "remote origin gives no alarm",
    ]
    assert failing(checks) == {}
    assert checks[1]["detail"] == "0 of 1,000 frames, 0 of 64 MiB"


def test_the_doctor_is_told_since_when_and_why_a_remote_is_not_reached() -> None:
    api = make_api()
    add(api)
    progress = Progress()
    progress.fail(RefusedError("no route", code=Code.UNREACHABLE, hint="look at the cable"), 1_796_033_399_999)
    assert failing(checks_of(api, progress)) == {
        "remote origin is reached": (
            "not since 2026-11-30 10:09 UTC: no route (look at the cable)",
            "what waits for it is kept and goes later; `moot remote test origin` tells more",
        )
    }
    progress.succeed(1_796_033_400_000)
    assert failing(checks_of(api, progress)) == {}


def test_a_queue_that_is_nearly_full_is_an_alarm_of_status_and_wrong_for_the_doctor() -> None:
    api = make_api()
    add(api)
    put(api.member, 100_000, count=OUTBOX_FRAMES * 8 // 10 - 300)
    assert list(queue_alarms(boxes_of(api))) == []
    put(api.member, 1000, count=300)
    (alarm,) = queue_alarms(boxes_of(api))
    assert (alarm["code"], alarm["severity"]) == ("queue_nearly_full", "warning")
    assert alarm["message"] == "the queue for remote origin is nearly full: 800 of 1,000 frames, 48 of 64 MiB"
    filling, hint = failing(checks_of(api, Progress()))["queue for remote origin has room"]
    assert (alarm["message"].partition(": ")[2], alarm["hint"]) == (filling, hint)
    assert "`moot remote test origin`" in hint
    put(api.member, 1, count=OUTBOX_FRAMES * 2 // 10 + 2)
    (alarm,) = queue_alarms(boxes_of(api))
    assert alarm["message"].endswith("1,000 of 1,000 frames, 47.8 of 64 MiB, 2 dropped so far")


def test_a_queue_whose_frames_were_published_is_said_to_wait_for_who_was_silent_longest() -> None:
    api = make_api()
    add(api)
    for number, member in enumerate((b"k" * 32, b"l" * 32)):
        body = FrontierBody(FORMAT, bytes(16), member, bytes(32), 1, bytes(32), bytes(32), Form.SUMMARY, ())
        api.member.commit(partial(let_count, plane=1, key=member))
        api.member.commit(partial(note_seen, plane=1, message=body))
        api.clock.advance(60_000 * (1 + number))
    api.member.commit(lambda unit: note_in_step(unit, 1, b"l" * 32))
    put(api.member, 1, count=OUTBOX_FRAMES * 8 // 10)
    api.member.commit(lambda unit: Outbox(unit.transaction, 1).mark_published(1, START_MS))
    hint = next(queue_alarms(boxes_of(api)))["hint"]
    assert f"; it waits for {key_text(b'k' * 32)} on plane ledger, last heard of {minute_of(START_MS)}; " in hint
    assert [words in hint for words in ("`moot replica retire`", "can be reached")] == [True, False]


def test_status_and_doctor_have_what_is_wrong_with_remotes_and_their_queues() -> None:
    api = make_api()
    add_as_of_old(api)
    put(api.member, 1, count=OUTBOX_FRAMES)
    assert "queue_nearly_full" in [alarm["code"] for alarm in api.call(Status())["alarms"]]
    found = failing(api.call(Doctor()))
    assert "queue for remote origin has room" in found
    assert "address of remote origin holds no secret" in found
    assert "hunter2" not in repr(found)


def test_the_doctor_is_told_which_remotes_give_alarms() -> None:
    api = make_api()
    add_as_of_old(api)
    progress = Progress()
    progress.alarms = [Alarm("x", kind) for kind in (RefAlarm.WENT_BACK, RefAlarm.FOREIGN, RefAlarm.FOREIGN)]
    assert failing(checks_of(api, progress)) == {
        "address of remote origin holds no secret": (
            "it stands in this machine's data",
            "`moot remote list` says what to do",
        ),
        "remote origin gives no alarm": ("foreign, went back", "see `moot status`"),
    }


def test_what_was_never_published_waits_for_the_remote_and_for_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("members are asked about what was published alone")

    monkeypatch.setattr(exchange_reads, "awaited", never)
    api = make_api()
    add(api)
    put(api.member, 1, count=OUTBOX_FRAMES * 8 // 10)
    (shown,) = api.call(OutboxInfo())
    assert (shown["is_nearly_full"], "awaited" in shown) == (True, False)
