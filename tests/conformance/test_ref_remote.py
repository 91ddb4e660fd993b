"""What every remote that keeps frames in refs guarantees."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from moot_protocol.errors import Code, MalformedError
from moot_protocol.limits import MIB
from moot_testkit.refusals import awaited_refusal
from mootd.edges.git.names import ref_name
from mootd.edges.git.remote import GitRemote
from mootd.edges.memory_remote import Commit, MemoryRefRemote, MemoryRefs
from mootd.remotes import Alarm, Ref, RefAlarm, RefRemote, Tip

TOPIC, OTHER_TOPIC = bytes(range(16)), b"T" * 16
ALICE, BOB = b"a" * 16, b"b" * 16
REF = Ref(TOPIC, ALICE, 1)
PLENTY = MIB


class Place(Protocol):
    """A remote with everything that may happen around it."""

    def replica(self, name: str) -> RefRemote:
        """A replica's side of it, with what this replica remembers."""

    def forget(self, name: str) -> None:
        """Let a replica lose what it remembers."""

    def point(self, name: str, commit: str | None) -> None:
        """Let others move or remove a ref."""

    def strange_commit(self, parent: str | None) -> str:
        """A commit that no sender pushes."""

    def vanish(self) -> None:
        """Nobody reaches it any more."""


class InMemory:
    def __init__(self) -> None:
        self.refs = MemoryRefs()
        self.replicas: dict[str, MemoryRefRemote] = {}

    def replica(self, name: str) -> RefRemote:
        return self.replicas.setdefault(name, MemoryRefRemote(self.refs))

    def forget(self, name: str) -> None:
        self.replicas.pop(name)

    def point(self, name: str, commit: str | None) -> None:
        if commit is None:
            del self.refs.tips[name]
        else:
            self.refs.tips[name] = commit

    def strange_commit(self, parent: str | None) -> str:
        return self.refs.add(Commit(parent, None))

    def vanish(self) -> None:
        self.refs.is_reachable = False


class InGit:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--template=", self.remote], check=True)

    def replica(self, name: str) -> RefRemote:
        return GitRemote(f"file://{self.remote}", self.folder / name, os.environ)

    def forget(self, name: str) -> None:
        shutil.rmtree(self.folder / name)

    def point(self, name: str, commit: str | None) -> None:
        self.git("update-ref", *((name, commit) if commit else ("-d", name)))

    def strange_commit(self, parent: str | None) -> str:
        blob = self.git("hash-object", "-w", "--stdin", stdin="strange")
        tree = self.git("mktree", stdin=f"100644 blob {blob}\tREADME\n")
        return self.git("commit-tree", tree, *(("-p", parent) if parent else ()))

    def vanish(self) -> None:
        self.remote.rename(self.folder / "elsewhere")

    def git(self, *arguments: str, stdin: str = "") -> str:
        names = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", "-C", self.remote, *arguments],
            input=stdin, check=True, capture_output=True, text=True, env={**os.environ, **names},
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture(params=["git", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return InGit(tmp_path) if request.param == "git" else InMemory()


@pytest.fixture
def alice(place: Place) -> RefRemote:
    return place.replica("alice")


@pytest.fixture
def bob(place: Place) -> RefRemote:
    return place.replica("bob")


async def all_of(reader: RefRemote, topic: bytes = TOPIC) -> dict[Ref, list[bytes]]:
    """Every frame of every ref that nothing is wrong with."""
    tips = (await reader.fetch([topic])).tips
    return {tip.ref: list((await reader.read(tip, None, PLENTY))[0]) for tip in tips}


async def alarms(reader: RefRemote) -> list[tuple[str, RefAlarm]]:
    return [(alarm.name, alarm.kind) for alarm in (await reader.fetch([TOPIC])).alarms]


# -- Pushing and reading -----------------------------------------------------------------------------------------
async def test_where_nobody_has_pushed_nothing_is_found(bob: RefRemote) -> None:
    assert await bob.fetch([TOPIC]) == ([], [])
    assert await bob.fetch([]) == ((), ())


async def test_frames_come_back_as_they_were_pushed_in_order(alice: RefRemote, bob: RefRemote) -> None:
    pushes = [
        [b"one", b"two"],
        [b"", b"\n", b"blob 3\n", bytes(range(256)) * 5],
        [os.urandom(100_000)],
        [b"%d" % number for number in range(1000)],
    ]
    for frames in pushes:
        pushed = await alice.push(REF, frames)
    (tip,) = (await bob.fetch([TOPIC])).tips
    assert tip == pushed
    assert await bob.read(tip, None, PLENTY) == ([frame for frames in pushes for frame in frames], tip.commit)


async def test_reading_goes_on_after_a_commit(alice: RefRemote, bob: RefRemote) -> None:
    tips = [await alice.push(REF, [b"%d" % number]) for number in range(5)]
    await bob.fetch([TOPIC])
    for number, tip in enumerate(tips):
        expected = [b"%d" % later for later in range(number + 1, 5)]
        frames, last = await bob.read(tips[-1], tip.commit, PLENTY)
        assert (list(frames), last) == (expected, tips[-1].commit)


async def test_reading_after_what_does_not_lead_to_the_tip_begins_at_the_beginning(
    alice: RefRemote, bob: RefRemote
) -> None:
    other = await alice.push(Ref(TOPIC, BOB, 1), [b"other"])
    first = await alice.push(REF, [b"one"])
    second = await alice.push(REF, [b"two"])
    await bob.fetch([TOPIC])
    for after in (None, "00" * 20, "no id", "--all", other.commit):
        assert await bob.read(second, after, PLENTY) == ([b"one", b"two"], second.commit)
    assert await bob.read(first, second.commit, PLENTY) == ([b"one"], first.commit)


async def test_reading_stops_with_the_commit_that_fills_the_room(alice: RefRemote, bob: RefRemote) -> None:
    tips = [await alice.push(REF, [bytes([number]) * 6, bytes([number]) * 4]) for number in range(4)]
    await bob.fetch([TOPIC])
    for room, commits in ((0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (1000, 4)):
        frames, last = await bob.read(tips[-1], None, room)
        assert last == tips[commits - 1].commit
        assert len(frames) == 2 * commits
    frames, last = await bob.read(tips[-1], tips[0].commit, 1)
    assert (last, frames[0]) == (tips[1].commit, b"\1" * 6)


async def test_only_the_topics_asked_for_come(alice: RefRemote, bob: RefRemote) -> None:
    here = await alice.push(REF, [b"here"])
    there = await alice.push(Ref(OTHER_TOPIC, ALICE, 1), [b"there"])
    assert (await bob.fetch([TOPIC])).tips == [here]
    assert (await bob.fetch([OTHER_TOPIC])).tips == [there]
    assert set((await bob.fetch([TOPIC, OTHER_TOPIC])).tips) == {here, there}
    assert await bob.fetch([b"-" * 16]) == ([], [])


async def test_senders_and_generations_have_refs_of_their_own(place: Place, alice: RefRemote, bob: RefRemote) -> None:
    refs = [Ref(TOPIC, sender, generation) for sender in (ALICE, BOB) for generation in (1, 2, 10)]
    for ref in refs:
        await (alice if ref.sender == ALICE else bob).push(ref, [repr(ref).encode()])
    assert await all_of(place.replica("carol")) == {ref: [repr(ref).encode()] for ref in refs}


async def test_what_every_replica_pushes_reaches_all(place: Place) -> None:
    senders = [bytes([number]) * 16 for number in range(4)]
    for turn in range(2):
        for sender in senders:
            await place.replica(sender.hex()).push(Ref(TOPIC, sender, 1), [sender, b"%d" % turn])
    for reader in senders:
        found = await all_of(place.replica(reader.hex()))
        assert found == {Ref(TOPIC, sender, 1): [sender, b"0", sender, b"1"] for sender in senders}


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([], Code.INVALID),
        ([b""] * 10_001, Code.LIMIT),
        ([bytes(17 * MIB + 1)], Code.LIMIT),
        ([bytes(16 * MIB)] * 4 + [b"."], Code.LIMIT),
    ],
    ids=["no frames", "too many", "too large", "too large together"],
)
async def test_what_no_reader_would_take_is_refused(
    alice: RefRemote, bob: RefRemote, frames: list[bytes], code: Code
) -> None:
    assert (await awaited_refusal(alice.push(REF, frames))).code is code
    assert await all_of(bob) == {}


async def test_a_remote_that_is_gone_cannot_be_used(place: Place, alice: RefRemote) -> None:
    await alice.push(REF, [b"one"])
    place.vanish()
    for call in (alice.fetch([TOPIC]), alice.push(REF, [b"two"]), alice.drop(REF)):
        assert (await awaited_refusal(call)).code in {Code.UNREACHABLE, Code.INVALID}


# -- Pushing again -----------------------------------------------------------------------------------------------
async def test_a_push_whose_answer_was_lost_is_there_once(place: Place, bob: RefRemote) -> None:
    first = await place.replica("alice").push(REF, [b"one"])
    place.forget("alice")
    assert await place.replica("alice").push(REF, [b"one"]) == first
    assert await all_of(bob) == {REF: [b"one"]}


async def test_a_sender_that_has_forgotten_its_pushes_goes_on_after_them(place: Place, bob: RefRemote) -> None:
    for frame in (b"one", b"two"):
        await place.replica("alice").push(REF, [frame])
    place.forget("alice")
    for frame in (b"three", b"four"):
        await place.replica("alice").push(REF, [frame])
    assert await all_of(bob) == {REF: [b"one", b"two", b"three", b"four"]}


async def test_two_that_push_to_one_ref_take_turns(alice: RefRemote, bob: RefRemote) -> None:
    for turn in range(3):
        await alice.push(REF, [b"alice %d" % turn])
        await bob.push(REF, [b"bob %d" % turn])
    frames = [b"%s %d" % (who, turn) for turn in range(3) for who in (b"alice", b"bob")]
    assert await all_of(alice) == await all_of(bob) == {REF: frames}


async def test_a_dropped_ref_is_gone_and_can_begin_anew(alice: RefRemote, bob: RefRemote) -> None:
    await alice.drop(REF)
    await alice.push(REF, [b"one"])
    kept = await alice.push(REF._replace(sender=BOB), [b"kept"])
    for _ in range(2):
        await alice.drop(REF)
    assert await alice.fetch([TOPIC]) == await bob.fetch([TOPIC]) == ([kept], [])
    await alice.push(REF, [b"anew"])
    assert (await all_of(bob))[REF] == [b"anew"]


# -- Remotes that others move ------------------------------------------------------------------------------------
async def test_a_ref_moved_back_raises_an_alarm_until_its_sender_pushes_again(
    place: Place, alice: RefRemote, bob: RefRemote
) -> None:
    tips = [await alice.push(REF, [b"%d" % number]) for number in range(3)]
    await bob.fetch([TOPIC])
    place.point(ref_name(REF), tips[0].commit)
    for reader in (bob, bob, alice):
        found = await reader.fetch([TOPIC])
        assert found.tips == []
        assert [(alarm.name, alarm.kind) for alarm in found.alarms] == [(ref_name(REF), RefAlarm.WENT_BACK)]
        assert (await reader.read(tips[2], None, PLENTY))[0] == [b"0", b"1", b"2"]
    await alice.push(REF, [b"3"])
    assert await all_of(bob) == {REF: [b"0", b"1", b"2", b"3"]}
    assert await alarms(bob) == []


async def test_a_missing_ref_raises_an_alarm_until_its_sender_pushes_again(
    place: Place, alice: RefRemote, bob: RefRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    await bob.fetch([TOPIC])
    place.point(ref_name(REF), None)
    for reader in (bob, bob, alice):
        assert await reader.fetch([TOPIC]) == ([], [Alarm(ref_name(REF), RefAlarm.MISSING)])
        assert (await reader.read(tip, None, PLENTY))[0] == [b"one"]
    await alice.push(REF, [b"two"])
    assert await all_of(bob) == {REF: [b"one", b"two"]}
    assert await alarms(bob) == []


async def test_an_older_generation_may_go_when_a_later_one_is_there(
    place: Place, alice: RefRemote, bob: RefRemote
) -> None:
    first, second = REF, REF._replace(generation=2)
    await alice.push(first, [b"one"])
    await bob.fetch([TOPIC])
    await alice.push(second, [b"one again"])
    await alice.drop(first)
    for reader in (alice, bob, place.replica("carol")):
        assert await all_of(reader) == {second: [b"one again"]}
        assert await alarms(reader) == []
    place.point(ref_name(second), None)
    assert await alarms(bob) == [(ref_name(second), RefAlarm.MISSING)]  # and of the first nobody speaks any more


async def test_an_older_generation_is_missing_when_only_others_have_later_ones(
    alice: RefRemote, bob: RefRemote
) -> None:
    await alice.push(REF._replace(generation=2), [b"one"])
    await alice.push(Ref(TOPIC, BOB, 3), [b"other"])
    await alice.push(Ref(OTHER_TOPIC, ALICE, 3), [b"elsewhere"])
    await alice.push(REF, [b"earlier"])
    await bob.fetch([TOPIC, OTHER_TOPIC])
    await alice.drop(REF._replace(generation=2))
    assert await alarms(bob) == [(ref_name(REF._replace(generation=2)), RefAlarm.MISSING)]


async def test_an_overwritten_ref_raises_an_alarm_and_is_a_conflict_for_its_sender(
    place: Place, alice: RefRemote, bob: RefRemote
) -> None:
    await alice.push(REF, [b"one"])
    other = await alice.push(Ref(TOPIC, BOB, 1), [b"other"])
    await bob.fetch([TOPIC])
    place.point(ref_name(REF), other.commit)
    for reader in (alice, bob):
        found = await reader.fetch([TOPIC])
        assert (found.tips, [alarm.kind for alarm in found.alarms]) == ([other], [RefAlarm.WENT_BACK])
    assert (await awaited_refusal(alice.push(REF, [b"two"]))).code is Code.CONFLICT
    await alice.push(REF._replace(generation=2), [b"one", b"two"])
    assert (await all_of(bob))[REF._replace(generation=2)] == [b"one", b"two"]


FOREIGN = (
    f"refs/moot/{TOPIC.hex()}/x",
    f"refs/moot/{TOPIC.hex()}/{ALICE.hex()}",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/0",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/01",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/-1",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/1/2",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/99999999999",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}/١",
    f"refs/moot/{TOPIC.hex()}/{'AB' * 16}/1",
    f"refs/moot/{TOPIC.hex()}/{BOB.hex()}00/1",
    f"refs/moot/{TOPIC.hex()}/-x/$(id)/;",
    f"refs/moot/{TOPIC.hex()}/\u202eevil",
)


async def test_a_foreign_name_raises_an_alarm_and_harms_nobody(place: Place, alice: RefRemote, bob: RefRemote) -> None:
    # A ref of Alice's own name would stand in the way of the one foreign name that is a folder of it.
    tip = await alice.push(REF._replace(sender=b"c" * 16), [b"one"])
    for name in FOREIGN:
        place.point(name, tip.commit)
        for _ in range(2):
            assert await bob.fetch([TOPIC]) == ([tip], [Alarm(name, RefAlarm.FOREIGN)])
        place.point(name, None)
        assert await bob.fetch([TOPIC]) == ([tip], [])


async def test_a_commit_that_no_sender_pushes_is_malformed(place: Place, alice: RefRemote, bob: RefRemote) -> None:
    place.point(ref_name(REF), place.strange_commit(None))
    (tip,) = (await bob.fetch([TOPIC])).tips
    with pytest.raises(MalformedError):
        await bob.read(tip, None, PLENTY)
    assert (await awaited_refusal(alice.push(REF, [b"one"]))).code is Code.CONFLICT


async def test_what_stands_before_a_strange_commit_can_be_read(place: Place, alice: RefRemote, bob: RefRemote) -> None:
    last = await alice.push(REF, [b"one"])
    strange = place.strange_commit(last.commit)
    place.point(ref_name(REF), strange)
    (tip,) = (await bob.fetch([TOPIC])).tips
    assert tip == Tip(REF, strange)
    assert await bob.read(tip, None, PLENTY) == ([b"one"], last.commit)
    with pytest.raises(MalformedError):
        await bob.read(tip, last.commit, PLENTY)
    assert (await awaited_refusal(alice.push(REF, [b"two"]))).code is Code.CONFLICT


async def test_a_remote_may_be_closed_and_used_again(place: Place, alice: RefRemote) -> None:
    await alice.push(REF, [b"one"])
    await alice.close()
    assert await all_of(place.replica("alice")) == {REF: [b"one"]}
