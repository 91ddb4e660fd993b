"""The hub: a task for every remote, none of which keeps the others waiting."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.exchange import Sync
from moot_protocol.requests.issues import InitProject
from moot_protocol.sealing.frame import seal
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import seed
from moot_testkit.clients.wakings import count_wakings
from moot_testkit.towns.exchanging import STILL, Peer, in_step, peers, settle, through_refs, until
from moot_testkit.towns.town import PROJECT
from mootd.config import OutboxConfig
from mootd.edges.memory_remote import MemoryRefRemote, MemoryRefs
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.machine.remotes import RemoteRow, isolate, remote_named, remove_remote, set_mode
from mootd.engine.membership.charter_writing import found_plane
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import invite
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.exchange.hub import Hub, Settings
from mootd.exchange.progress import Progress
from mootd.remotes import Ref
from mootd.service.writing.writes import carry_out

HASTY = Settings(debounce_s=0, poll_s=60, base_s=0.01, cap_s=0.02)


class Recorder:
    """A worker that does nothing, and remembers what it was asked to do."""

    debounce_s: float | None = None
    poll_s: float | None = None
    linger_s = 0.0
    is_settled = True

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.asked = 0
        """Rounds for which somebody waited."""
        self.is_closed = False
        self.error: BaseException | None = None
        self.gate: asyncio.Event | None = None
        self.last_words: BaseException | None = None
        """Raised where it is told to stop."""

    def way(self) -> Callable[[RemoteRow, Hub], "Recorder"]:
        return lambda _row, _hub: self

    async def round(self, planes: Sequence[PlaneRow], progress: Progress, *, is_asked: bool) -> None:
        del progress
        self.rounds.append([plane.name for plane in planes])
        self.asked += is_asked
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            raise self.last_words or asyncio.CancelledError from None
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.is_closed = True

    async def check(self) -> list[dict[str, Any]]:
        return [{"check": "it is there", "ok": self.error is None, "detail": "", "hint": ""}]


def opened(peer: Peer) -> None:
    """Make the ledger ready for an exchange, as adding a remote does."""
    peer.commit(lambda unit: invite(unit, peer.plane(), Role.WRITER, 0, ()))


async def recorded(peer: Peer) -> Recorder:
    """What works on a remote of a peer's, with its first round done or under way."""
    worker = Recorder()
    opened(peer)
    peer.add(worker.way())
    await until(lambda: bool(worker.rounds))
    return worker


async def test_a_remote_that_is_added_is_served_and_one_that_is_removed_is_let_go() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        opened(peer)
        peer.add(worker.way())
        await until(lambda: worker.rounds == [["ledger"]] or len(worker.rounds) > 1)
        peer.commit(lambda unit: remove_remote(unit, "origin"))
        await until(lambda: worker.is_closed)


async def test_a_remote_that_is_removed_is_let_go_even_where_its_end_fails() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        worker.gate, worker.last_words = asyncio.Event(), RefusedError("there is no such remote")
        opened(peer)
        peer.add(worker.way())
        await until(lambda: bool(worker.rounds))
        peer.commit(lambda unit: remove_remote(unit, "origin"))
        await until(lambda: worker.is_closed)
        assert len(worker.rounds) == 1


def left_alone(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Commits something, and tells whether that woke nobody."""
    wakings = count_wakings(monkeypatch)

    def is_left_alone() -> bool:
        wakings.clear()
        peer.write()
        return not wakings

    return is_left_alone


async def test_a_commit_begins_a_round() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = await recorded(peer)
        before = len(worker.rounds)
        peer.write()
        await until(lambda: len(worker.rounds) > before)


async def test_a_commit_wakes_nobody_where_there_is_no_remote_or_all_are_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peers(1, Settings(debounce_s=3600, poll_s=3600)) as (peer,):
        opened(peer)
        is_left_alone = left_alone(peer, monkeypatch)
        await until(is_left_alone)
        worker = Recorder()
        peer.add(worker.way())
        await until(lambda: bool(worker.rounds))
        await until(is_left_alone)


@pytest.mark.parametrize(("hub_s", "own_s"), [(0.01, None), (0.01, 3600), (3600, 0.01)])
async def test_a_remote_is_looked_at_as_often_as_was_asked_or_as_it_needs(hub_s: float, own_s: float | None) -> None:
    async with peers(1, Settings(debounce_s=0, poll_s=hub_s)) as (peer,):
        worker = Recorder()
        worker.poll_s = own_s
        opened(peer)
        peer.add(worker.way())
        await until(lambda: len(worker.rounds) > 20)


async def test_what_is_urgent_goes_without_waiting_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peers(1, Settings(debounce_s=3600, poll_s=3600)) as (peer,):
        worker = await recorded(peer)
        await peer.sync()
        before = len(worker.rounds)
        await until(left_alone(peer, monkeypatch))  # what serves the remote is awake, and waits for more
        assert len(worker.rounds) == before
        peer.hub.hurry()
        await until(lambda: len(worker.rounds) > before)


async def test_operational_planes_and_planes_that_are_off_are_never_handed_to_a_worker() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        opened(peer)
        peer.add(worker.way(), mode="off")
        await peer.sync()
        assert worker.rounds
        assert all(planes == [] for planes in worker.rounds)


async def test_an_isolated_plane_is_handed_to_no_other_worker_whoever_asks() -> None:
    async with peers(1, HASTY) as (peer,):
        opened(peer)
        named, later = Recorder(), Recorder()
        peer.add(named.way(), "named")
        plane = SharedPlane(peer.plane())
        peer.commit(lambda unit: isolate(unit, plane, [remote_named(unit.transaction, "named")]))
        peer.add(later.way(), "later")
        await peer.hub.sync(Sync(wait_ms=5000))
        await peer.hub.sync(Sync(plane="ledger", wait_ms=5000))
        assert named.rounds[-1] == ["ledger"]
        assert later.rounds
        assert all(planes == [] for planes in later.rounds)


async def test_a_manual_plane_is_exchanged_only_when_somebody_asks() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        opened(peer)
        peer.add(worker.way(), mode="manual")
        peer.write(3)
        await until(lambda: bool(worker.rounds))
        assert all(planes == [] for planes in worker.rounds)
        await peer.sync()
        assert ["ledger"] in worker.rounds


async def test_a_manual_plane_that_was_asked_for_lingers_where_a_round_is_not_all_there_is() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        opened(peer)
        peer.add(worker.way(), mode="manual")
        for linger_s, planes in ((0.0, []), (3600.0, ["ledger"])):
            worker.linger_s = linger_s
            await peer.sync()
            before = len(worker.rounds)
            peer.write()
            await until(lambda before=before: len(worker.rounds) > before)  # type: ignore[misc]
            assert worker.rounds[-1] == planes
        switch(peer, "off")
        await until(lambda: worker.rounds[-1] == [])


def switch(peer: Peer, mode: str) -> None:
    """Say how the ledger is exchanged with the remote."""
    peer.commit(lambda unit: set_mode(unit, remote_named(unit.transaction, "origin"), SharedPlane(peer.plane()), mode))


async def test_a_mode_of_a_plane_goes_before_the_remote_s_own() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        opened(peer)
        peer.add(worker.way(), mode="off")
        switch(peer, "auto")
        await until(lambda: ["ledger"] in worker.rounds)


async def test_a_remote_that_fails_is_tried_again_and_the_others_go_on() -> None:
    async with peers(1, HASTY) as (peer,):
        broken, sound = Recorder(), Recorder()
        broken.error = RefusedError("nobody there", code=Code.UNREACHABLE, hint="look for it")
        opened(peer)
        peer.add(broken.way(), "broken")
        peer.add(sound.way(), "sound")
        await until(lambda: len(broken.rounds) > 3)
        assert peer.progress("broken").why() == "nobody there (look for it)"
        assert peer.progress("broken").failures >= 3
        before = len(sound.rounds)
        peer.write()
        await until(lambda: len(sound.rounds) > before)
        broken.error = None
        await until(lambda: not peer.progress("broken").failures)
        assert peer.progress("broken").why() == ""


async def test_a_defect_of_a_worker_is_told_in_words_and_harms_nobody_else() -> None:
    async with peers(1, HASTY) as (peer,):
        broken = Recorder()
        broken.error = ZeroDivisionError()
        opened(peer)
        peer.add(broken.way())
        shown = await peer.sync()
        assert shown[0]["error"]
        broken.error = None
        assert (await peer.sync())[0]["error"] == ""


def told(lines: Sequence[Any]) -> list[str]:
    return [line["event"] for line in lines]


async def test_the_log_hears_once_that_a_remote_fails_and_once_that_it_works_again() -> None:
    with capture_logs() as lines:
        async with peers(1, HASTY) as (peer,):
            worker = Recorder()
            worker.error = RefusedError("nobody there", code=Code.UNREACHABLE)
            opened(peer)
            peer.add(worker.way())
            await until(lambda: len(worker.rounds) > 5)
            assert told(lines) == ["exchange.failing"]
            worker.error = None
            await until(lambda: "exchange.works_again" in told(lines))
    assert told(lines) == ["exchange.failing", "exchange.works_again"]
    assert (lines[0]["remote"], lines[0]["code"]) == ("origin", "unreachable")


async def test_the_log_hears_what_came_and_went_by_plane_and_nothing_of_what_was_written() -> None:
    refs = MemoryRefs()
    with capture_logs() as lines:
        async with peers(2, HASTY) as (one, other):
            one.write(3)
            for peer in (one, other):
                peer.add(through_refs(refs))
            await settle(one, other)
            sent, received = one.progress().sent, other.progress().received
    done = [line for line in lines if line["event"] == "exchange.done"]
    assert all((line["remote"], line["planes"]) == ("origin", ["ledger"]) for line in done)
    assert sum(line["sent"] for line in done) >= sent > 0
    assert sum(line["received"] for line in done) >= received > 0
    assert set(told(lines)) == {"exchange.done"}
    assert set(done[0]) == {"event", "log_level", "remote", "planes", "sent", "received", "duration_ms"}


async def test_the_log_hears_of_no_plane_of_which_nothing_came_or_went() -> None:
    refs = MemoryRefs()
    async with peers(2, STILL) as (one, other):
        one.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "own", SeedSigner(seed("paper")).public))
        one.commit(lambda unit: invite(unit, one.plane("own"), Role.WRITER, 0, ()))
        for peer in (one, other):
            peer.add(through_refs(refs))
        await settle(one, other)
        with capture_logs() as lines:
            one.write(1, plane="ledger")
            await settle(one, other)
            await one.die()
    done = [line for line in lines if line["event"] == "exchange.done"]
    assert {(*line["planes"],) for line in done} == {("ledger",)}


async def test_the_log_hears_of_a_queue_that_fills_up_while_the_remote_is_away() -> None:
    with capture_logs() as lines:
        async with peers(1, STILL) as (peer,):
            opened(peer)
            peer.replica.outbox_caps = OutboxConfig(frames=10)
            peer.add(Recorder().way())
            await peer.sync()
            for count in (8, 1, 3, 3):
                peer.commit(partial(fill, caps=peer.replica.outbox_caps, count=count))
                await peer.sync()
    assert told(lines) == ["outbox.nearly_full", "outbox.dropping"]
    # A round that was under way may have looked before the last commit.
    assert lines[0]["frames"] in (8, 9)
    assert lines[1]["dropped"] in (2, 5)


def fill(unit: Unit, caps: OutboxConfig, count: int) -> None:
    for _ in range(count):
        Outbox(unit.transaction, 1, caps).put(OutFrame(1, "batches", b"frame", 1))


async def test_a_worker_knows_whether_somebody_waits_for_its_round() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = await recorded(peer)
        assert worker.asked == 0
        await peer.sync()
        assert worker.asked == 1
        before = len(worker.rounds)
        peer.write()
        await until(lambda: len(worker.rounds) > before)
        assert worker.asked == 1


async def test_a_remote_that_hangs_keeps_nobody_else_waiting() -> None:
    async with peers(1, HASTY) as (peer,):
        hanging, sound = Recorder(), Recorder()
        hanging.gate = asyncio.Event()
        opened(peer)
        peer.add(hanging.way(), "hanging")
        peer.add(sound.way(), "sound")
        await until(lambda: bool(sound.rounds))
        answer = await peer.hub.sync(Sync(wait_ms=50))
        assert not answer["done"]
        assert {each["remote"] for each in answer["remotes"]} == {"hanging", "sound"}
        hanging.gate.set()
        while not answer["done"]:
            answer = await peer.hub.sync(Sync(cursor=answer["cursor"], wait_ms=1000))


async def test_sync_without_a_remote_is_done_at_once_and_a_made_up_cursor_is_refused() -> None:
    async with peers(1, HASTY) as (peer,):
        answer = await peer.hub.sync(Sync())
        assert (answer["done"], answer["remotes"]) == (True, [])
        with pytest.raises(RefusedError, match="no cursor"):
            await peer.hub.sync(Sync(cursor="x"))
        with pytest.raises(RefusedError) as caught:
            await peer.hub.sync(Sync(plane="nowhere"))
        assert caught.value.code is Code.NOT_FOUND


async def test_a_plane_that_no_remote_carries_is_refused_by_name_and_never_said_to_be_in_step() -> None:
    async with peers(1, HASTY) as (peer,):
        with pytest.raises(RefusedError, match="plane ledger has no remote") as alone:
            await peer.hub.sync(Sync(plane="ledger"))
        assert (alone.value.code, alone.value.hint) == (Code.NOT_FOUND, "`moot remote add git URL` adds one")
        opened(peer)
        peer.add(Recorder().way(), mode="off")
        with pytest.raises(RefusedError, match="plane ledger has no remote to be exchanged with: origin off"):
            await peer.hub.sync(Sync(plane="ledger"))
        with pytest.raises(RefusedError, match="it stays here"):
            await peer.hub.sync(Sync(plane="operational"))


async def test_trying_out_a_remote_asks_its_worker() -> None:
    async with peers(1, HASTY) as (peer,):
        worker = Recorder()
        peer.add(worker.way())
        assert (await peer.hub.check("origin"))["ok"]
        worker.error = RefusedError("no")
        assert not (await peer.hub.check("origin"))["ok"]
        with pytest.raises(RefusedError) as caught:
            await peer.hub.check("nowhere")
        assert caught.value.code is Code.NOT_FOUND


async def test_another_thread_reaches_the_hub_only_while_it_runs() -> None:
    async with peers(1, HASTY) as (peer,):
        await peer.hub.sync(Sync())  # by the time that this is answered it runs
        answer = await asyncio.to_thread(peer.hub.call, lambda: peer.hub.sync(Sync()))
        assert answer["done"]
        await peer.die()
        with pytest.raises(RefusedError) as caught:
            peer.hub.call(lambda: peer.hub.sync(Sync()))
        assert caught.value.code is Code.NOT_READY


async def test_a_machine_that_joins_gets_what_the_founder_has() -> None:
    refs = MemoryRefs()
    async with peers(2, HASTY) as (one, other):
        one.write(3)
        assert (await other.hub.sync(Sync()))["waiting"] == ["ledger"]
        for peer in (one, other):
            peer.add(through_refs(refs))
        await settle(one, other)
        assert in_step(one, other)
        assert other.own_n() > 0
        assert (await other.hub.sync(Sync()))["waiting"] == []


async def test_an_exchange_names_planes_on_which_nothing_counts_that_is_written_here() -> None:
    refs = MemoryRefs()
    async with peers(2, HASTY) as (one, other):
        for peer in (one, other):
            peer.add(through_refs(refs))
        await settle(one, other)
        assert (await other.hub.sync(Sync()))["excluded"] == []
        other.commit(lambda unit: salvage(unit, is_copy=True))
        told = await other.hub.sync(Sync())
        assert (told["waiting"], told["excluded"]) == ([], ["ledger"])


async def test_an_exchange_tells_of_frames_whose_key_is_missing_until_it_is_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refs = MemoryRefs()
    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(refs))
        await settle(ada, bob)
        with monkeypatch.context() as patch:
            patch.setattr(PlaneKeys, "learn", lambda *_: False)  # as if the key weren't wrapped for bob
            ada.commit(lambda unit: begin_epoch(unit, ada.plane(), ada.on_remote().keys))
            ada.write(2)
            sent = ada.progress().sent
            await settle(ada)
            for _ in range(2):
                assert await told_unopened(bob) == [
                    {"remote": "origin", "plane": "ledger", "frames": 1, "code": "unknown_epoch"}
                ]
            assert ada.progress().sent > sent
            assert await told_unopened(ada) == []
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), ada.on_remote().keys))
        await settle(ada)
        assert await told_unopened(bob) == []
        assert bob.events() == ada.events()


async def test_frames_under_keys_that_strangers_made_up_hinder_no_exchange() -> None:
    refs = MemoryRefs()
    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(refs))
        await settle(ada, bob)
        topic = ada.on_remote().topic
        await MemoryRefRemote(refs).push(Ref(topic, bytes(16), 1), [seal(b"k" * 32, topic, bytes(12), b"message")])
        assert await told_unopened(bob) == []
        assert bob.progress().unopened


async def told_unopened(peer: Peer) -> Any:
    """What is told of frames without a key at the end of an exchange."""
    await peer.sync()
    return (await peer.hub.sync(Sync(cursor="1:1")))["unopened"]


async def test_an_exchange_tells_of_prefixes_that_clash_once_the_joined_plane_has_come() -> None:
    refs = MemoryRefs()
    async with peers(2, STILL, joined=False) as (ada, bob):
        bob.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "own", SeedSigner(seed("paper")).public))
        bob.commit(lambda unit: carry_out(unit, InitProject(actor="bob", prefix=PROJECT, plane="own")))
        bob.join(ada)
        bob.add(through_refs(refs))
        assert (await bob.hub.sync(Sync()))["clashes"] == []
        ada.add(through_refs(refs))
        await settle(ada, bob)
        assert (await bob.hub.sync(Sync()))["clashes"] == [PROJECT]
        assert (await ada.hub.sync(Sync()))["clashes"] == []
