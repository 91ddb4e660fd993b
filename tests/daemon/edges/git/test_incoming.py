"""Getting refs from remotes that mean harm: an alarm in words, and the others' refs come all the same."""

import asyncio
import contextlib
import math
import os
import re
import subprocess
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.machines import git_servers
from moot_testkit.machines.git_servers import Server, is_gone
from mootd.edges.git import incoming
from mootd.edges.git.incoming import Incoming
from mootd.edges.git.names import ref_name
from mootd.edges.git.process import Deadlines, Done, Git
from mootd.edges.git.remote import GitRemote
from mootd.remotes import UNREACHED, Alarm, Fetched, Ref, RefAlarm, Tip

TOPIC, ALICE, EVE = b"t" * 16, b"a" * 16, b"e" * 16
REF, BAD = Ref(TOPIC, ALICE, 1), Ref(TOPIC, EVE, 1)


class Watched(Git):
    """The user's git; it counts, and may be told to find no end with a ref."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server.repository.parent / name, server.environment, Deadlines())
        self.asked: list[str] = []
        self.endless: tuple[str, ...] = ()
        self.failing = b""
        """What git says of a fetch of several refs, each of which comes alone."""
        self.broken: frozenset[str] = frozenset()
        """What no fetch gets, nor anything that is asked for with it."""
        self.fetched: list[int] = []
        """How many refs each fetch was asked for."""

    async def run(self, *arguments: str, stdin: bytes = b"", **more: Any) -> Done:
        self.asked.append(arguments[0])
        if arguments[0] == "fetch":
            self.fetched.append(stdin.count(b"\n"))
        if arguments[0] == "fetch" and stdin.count(b"\n") > 1 and self.failing:
            return Done(128, b"", self.failing)
        if arguments[0] == "fetch" and self.broken.intersection(re.split(r"[+:\n]", stdin.decode())):
            return Done(128, b"", b"fatal: early EOF")
        if arguments[0] == "fetch" and any(name in stdin.decode() for name in self.endless):
            raise RefusedError("no sign of life", code=Code.TIMEOUT, retryable=True)
        return await super().run(*arguments, stdin=stdin, **more)

    def connections(self) -> int:
        """How often the remote was called since this was last asked."""
        found = self.asked.count("fetch") + self.asked.count("ls-remote")
        self.asked.clear()
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with git_servers.local(tmp_path) as started:
        yield started


@pytest.fixture
def git(server: Server) -> Watched:
    return Watched(server, "bob")


@pytest.fixture
def bob(server: Server, git: Watched) -> Incoming:
    return Incoming(git, server.address)


@pytest.fixture
def alice(server: Server) -> GitRemote:
    return GitRemote(server.address, server.repository.parent / "alice", server.environment)


def at_remote(server: Server, *arguments: str, stdin: bytes = b"") -> str:
    """Run git in the remote's repository, as somebody who has taken it over."""
    who = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(server.repository), *arguments]
    environment = {**server.environment, **who}
    return (
        subprocess.run(command, input=stdin, env=environment, check=True, capture_output=True).stdout.decode().strip()
    )


def evil_commit(server: Server) -> str:
    """A commit that git itself refuses to fetch: its tree holds `.git`."""
    blob = at_remote(server, "hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch mark\n")
    row = b"100644 .git\0" + bytes.fromhex(blob)
    tree = at_remote(server, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=row)
    return at_remote(server, "commit-tree", tree, "-m", "evil")


def unreadable(found: Fetched) -> list[str]:
    return [alarm.name for alarm in found.alarms if alarm.kind is RefAlarm.UNREADABLE]


async def test_a_ref_that_git_refuses_harms_no_other(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    at_remote(server, "update-ref", ref_name(BAD), evil_commit(server))
    found = await bob.fetch([TOPIC])
    assert found.tips == [tip]
    assert unreadable(found) == [ref_name(BAD)]
    assert ".git" in found.alarms[0].detail
    later = await alice.push(REF, [b"two"])
    assert (await bob.fetch([TOPIC])).tips == [later]
    mended = await GitRemote(server.address, server.repository.parent / "eve", server.environment).push(
        BAD._replace(generation=2), [b"mine"]
    )
    at_remote(server, "update-ref", "-d", ref_name(BAD))
    assert await bob.fetch([TOPIC]) == ([later, mended], [])
    git.connections()
    last = await alice.push(REF, [b"three"])
    assert await bob.fetch([TOPIC]) == ([last, mended], [])
    assert git.connections() == 2
    assert await bob.fetch([TOPIC]) == ([last, mended], [])
    assert git.connections() == 1  # where nothing is new


async def test_what_stands_under_a_foreign_name_is_never_fetched(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    foreign = f"refs/moot/{TOPIC.hex()}/evil"
    at_remote(server, "update-ref", foreign, evil_commit(server))
    for _ in range(3):
        assert await bob.fetch([TOPIC]) == ([tip], [Alarm(foreign, RefAlarm.FOREIGN)])
    assert git.connections() == 2 + 1 + 1  # the list and what is new; then lists alone
    assert (await git.local("for-each-ref", "refs/incoming/")).out.count(b"\n") == 1


async def test_a_bad_ref_is_tried_again_ever_more_rarely_until_it_changes(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    at_remote(server, "update-ref", ref_name(BAD), evil_commit(server))
    await bob.fetch([TOPIC])
    tries = []
    for _ in range(16):
        git.connections()
        assert unreadable(await bob.fetch([TOPIC])) == [ref_name(BAD)]
        tries.append(git.connections() - 1)
    assert tries == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    tip = await alice.push(REF, [b"one"])
    at_remote(server, "update-ref", ref_name(BAD), tip.commit)
    assert await bob.fetch([TOPIC]) == ([tip, Tip(BAD, tip.commit)], [])


@pytest.mark.parametrize("words", [b"fatal: early EOF", b"ssh: connect to host h port 22: Connection timed out"])
async def test_refs_that_cannot_be_fetched_together_come_one_by_one_whatever_kept_them(
    git: Watched, bob: Incoming, alice: GitRemote, words: bytes
) -> None:
    tips = [await alice.push(ref, [b"one"]) for ref in (REF, REF._replace(generation=REF.generation + 1))]
    git.failing = words
    assert sorted((await bob.fetch([TOPIC])).tips) == sorted(tips)


async def test_a_ref_that_finds_no_end_holds_the_others_up_for_two_calls_only(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    at_remote(server, "update-ref", ref_name(BAD), evil_commit(server))
    git.endless = (ref_name(BAD),)
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            await bob.fetch([TOPIC])
        assert caught.value.code is Code.TIMEOUT
    found = await bob.fetch([TOPIC])
    assert (found.tips, unreadable(found)) == ([tip], [ref_name(BAD)])


@pytest.mark.parametrize("kind", ["blob", "tree", "tag"])
async def test_a_ref_that_leads_to_no_commit_is_unreadable(
    server: Server, bob: Incoming, alice: GitRemote, kind: str
) -> None:
    tip = await alice.push(REF, [b"one"])
    blob = at_remote(server, "hash-object", "-w", "--stdin", stdin=b"x")
    tag = f"object {tip.commit}\ntype commit\ntag x\ntagger x <y> 0 +0000\n\n"
    made = {
        "blob": blob,
        "tree": at_remote(server, "mktree", stdin=f"100644 blob {blob}\t0000\n".encode()),
        "tag": at_remote(server, "mktag", stdin=tag.encode()),
    }
    (server.repository / ref_name(BAD)).parent.mkdir(parents=True)
    (server.repository / ref_name(BAD)).write_text(f"{made[kind]}\n")
    for _ in range(2):
        assert await bob.fetch([TOPIC]) == (
            [tip],
            [Alarm(ref_name(BAD), RefAlarm.UNREADABLE, f"it leads to a {kind}")],
        )
    assert await bob.look(BAD) is None


async def test_refs_that_could_not_be_folders_of_one_disk_harm_nobody(
    server: Server, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    names = [ref_name(BAD), f"{ref_name(BAD)}/x", f"refs/moot/{TOPIC.hex()}/{'long' * 300}"]
    at_remote(server, "update-ref", names[1], tip.commit)
    assert await bob.fetch([TOPIC]) == ([tip], [Alarm(names[1], RefAlarm.FOREIGN)])
    at_remote(server, "update-ref", "-d", names[1])
    packed = "".join(f"{tip.commit} {name}\n" for name in sorted([*names, ref_name(REF)]))
    (server.repository / ref_name(REF)).unlink()
    (server.repository / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{packed}")
    for _ in range(2):
        found = await bob.fetch([TOPIC])
        assert found.tips == [tip, Tip(BAD, tip.commit)]
        (told,) = found.alarms
        assert (told.name, told.detail[:22]) == (names[1], "and 1 more: longlonglo")


async def test_a_list_of_refs_without_end_is_refused(
    bob: Incoming, alice: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.push(REF, [b"one"])
    monkeypatch.setattr(incoming, "LIST_BYTES", 50)
    with pytest.raises(RefusedError) as caught:
        await bob.fetch([TOPIC])
    assert caught.value.code is Code.LIMIT


async def test_looking_at_a_ref_fetches_it_alone(server: Server, git: Watched, bob: Incoming, alice: GitRemote) -> None:
    assert await bob.look(REF) is None
    tip = await alice.push(REF, [b"one"])
    await alice.push(BAD, [b"two"])
    assert await bob.look(REF) == tip.commit
    assert (await git.local("for-each-ref", "refs/incoming/")).out.count(b"\n") == 1
    at_remote(server, "update-ref", "-d", ref_name(REF))
    assert await bob.look(REF) is None
    assert await bob.fetch([TOPIC]) == ([Tip(BAD, (await alice.fetch([TOPIC])).tips[0].commit)], [])


def packed(server: Server, commit: str, names: list[str]) -> None:
    """Put refs on the remote, however many."""
    shown = "".join(f"{commit} {name}\n" for name in sorted(names))
    (server.repository / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{shown}")


async def test_foreign_refs_without_number_are_one_alarm_and_no_files(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    foreign = [f"refs/moot/{TOPIC.hex()}/zz{number:04}" for number in range(2000)]
    foreign += [f"{ref_name(REF)}{end}" for end in ("x", "/y")]
    (server.repository / ref_name(REF)).unlink()
    packed(server, tip.commit, [*foreign[:-1], ref_name(REF)])
    for _ in range(2):
        found = await bob.fetch([TOPIC])
        assert found.tips == [tip]
        (told,) = found.alarms
        assert (told.name, told.kind) == (foreign[-2], RefAlarm.FOREIGN)
        assert told.detail == "and 2,000 more: zz0000, zz0001, zz0002, …"
    assert (await git.local("for-each-ref", "refs/incoming/")).out.count(b"\n") == 1


async def test_what_an_older_moot_has_fetched_under_foreign_names_is_forgotten(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [b"one"])
    await bob.fetch([TOPIC])
    await git.local("update-ref", f"refs/incoming/{TOPIC.hex()}/zz", tip.commit)
    assert await bob.fetch([TOPIC]) == ([tip], [])
    assert (await git.local("for-each-ref", "refs/incoming/")).out.count(b"\n") == 1


async def test_of_a_topic_with_refs_without_number_those_known_stay_and_an_alarm_tells(
    server: Server, bob: Incoming, alice: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = await alice.push(BAD, [b"one"])
    await bob.fetch([TOPIC])
    monkeypatch.setattr(incoming, "REFS", 10)
    (server.repository / ref_name(BAD)).unlink()
    others = [Ref(TOPIC, number.to_bytes(16, "big"), 1) for number in range(50)]
    packed(server, tip.commit, [ref_name(BAD), *map(ref_name, others)])
    found = await bob.fetch([TOPIC])
    assert found.tips == [*(Tip(ref, tip.commit) for ref in others[:9]), tip]
    assert found.alarms == [Alarm(f"refs/moot/{TOPIC.hex()}/", RefAlarm.FOREIGN, "only 10 of 51 refs are read")]
    monkeypatch.setattr(incoming, "REFS", 5)  # what was seen and is there is not missing
    assert {alarm.kind for alarm in (await bob.fetch([TOPIC])).alarms} == {RefAlarm.FOREIGN}


async def test_of_many_refs_some_are_fetched_at_once_and_those_only_once_whatever_becomes_of_the_others(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One git compares each name that it is given with each that it is shown."""
    monkeypatch.setattr(incoming, "AT_ONCE", 4)
    tip = await alice.push(REF, [b"one"])
    (server.repository / ref_name(REF)).unlink()
    refs = [Ref(TOPIC, number.to_bytes(16, "big"), 1) for number in range(10)]
    packed(server, tip.commit, [*map(ref_name, refs)])
    at_remote(server, "update-ref", ref_name(refs[6]), evil_commit(server))
    found = await bob.fetch([TOPIC])
    assert [each.ref for each in found.tips] == [ref for ref in refs if ref != refs[6]]
    assert git.fetched == [4, 4, *(4, 2, 2, 1, 1), 2]
    at_remote(server, "update-ref", ref_name(refs[6]), tip.commit)
    git.fetched.clear()
    assert await Incoming(git, server.address).fetch([TOPIC]) == ([Tip(ref, tip.commit) for ref in refs], [])
    assert git.fetched == [1]
    fresh = Watched(server, "carol")
    assert await Incoming(fresh, server.address).fetch([TOPIC]) == ([Tip(ref, tip.commit) for ref in refs], [])
    assert fresh.fetched == [4, 4, 2]


async def show_many(server: Server, alice: GitRemote, count: int) -> list[Tip]:
    """Put so many refs on the remote that nobody has fetched yet, in place of all others."""
    tip = await alice.push(REF, [count.to_bytes(8, "big")])
    refs = [Ref(TOPIC, number.to_bytes(16, "big"), 1) for number in range(count)]
    (server.repository / ref_name(REF)).unlink()
    packed(server, tip.commit, [*map(ref_name, refs)])
    return [Tip(ref, tip.commit) for ref in refs]


@pytest.mark.parametrize(
    ("count", "bad"),
    [(1, {0}), (2, {1}), (3, {0}), (64, {0}), (64, {63}), (64, {17, 40}), (64, {31, 32, 33}), (8, set(range(8)))],
)
async def test_a_few_bad_refs_of_many_are_found_by_halves_and_all_others_come(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote, count: int, bad: set[int]
) -> None:
    tips = await show_many(server, alice, count)
    git.broken = frozenset(ref_name(tips[each].ref) for each in bad)
    found = await bob.fetch([TOPIC])
    assert found.tips == [tip for at, tip in enumerate(tips) if at not in bad]
    assert unreadable(found) == sorted(git.broken)
    # All of them, again after a look at what is there still, and for each bad one both halves of what it is among.
    assert len(git.fetched) <= 2 + 2 * len(bad) * math.ceil(math.log2(count))


async def test_beside_a_bad_ref_others_that_are_new_are_fetched_together(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    bad = (await show_many(server, alice, 8))[5]
    git.broken = frozenset([ref_name(bad.ref)])
    await bob.fetch([TOPIC])
    for count, tries in enumerate(([], [], [1], []), start=9):
        git.fetched.clear()
        tips = await show_many(server, alice, count)
        at_remote(server, "update-ref", ref_name(bad.ref), bad.commit)
        found = await bob.fetch([TOPIC])
        assert found.tips == [tip for tip in tips if tip.ref != bad.ref]
        assert git.fetched == [len(tips) - 1, *tries]


async def test_after_a_fetch_without_an_end_each_ref_is_fetched_alone_once_and_then_many_at_once_again(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    tips = await show_many(server, alice, 4)
    git.endless = (ref_name(tips[2].ref),)
    with pytest.raises(RefusedError, match="no sign of life"):
        await bob.fetch([TOPIC])
    git.endless = ()
    assert await bob.fetch([TOPIC]) == (tips, [])
    assert git.fetched == [4, 1, 1, 1, 1]
    tips = await show_many(server, alice, 5)
    assert await bob.fetch([TOPIC]) == (tips, [])
    assert git.fetched == [4, 1, 1, 1, 1, 5]


async def test_while_bad_refs_are_looked_for_one_without_an_end_is_told_from_those_beside_it(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    tips = await show_many(server, alice, 8)
    git.broken = frozenset([ref_name(tips[1].ref)])
    run = git.run

    async def run_once(*arguments: str, **more: Any) -> Done:
        done = await run(*arguments, **more)
        git.endless = (ref_name(tips[6].ref),) if done.code else git.endless  # from the first failure on
        return done

    monkeypatch.setattr(git, "run", run_once)
    for _ in range(2):
        with pytest.raises(RefusedError, match="no sign of life"):
            await bob.fetch([TOPIC])
    found = await bob.fetch([TOPIC])
    assert found.tips == [tip for tip in tips if tip not in (tips[1], tips[6])]
    assert unreadable(found) == [ref_name(tips[1].ref), ref_name(tips[6].ref)]


async def test_what_a_fetch_of_some_of_many_was_refused_is_refused_at_once(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote
) -> None:
    await show_many(server, alice, 8)
    git.failing = b"fatal: Authentication failed for 'x'"
    for calls in (1, 2):
        with pytest.raises(RefusedError) as caught:
            await bob.fetch([TOPIC])
        assert caught.value.code is Code.DENIED
        assert git.fetched == [8] * calls


async def test_a_ref_that_goes_between_the_list_and_the_fetch_is_no_bad_one(
    server: Server, git: Watched, bob: Incoming, alice: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = await alice.push(REF, [b"one"])
    await alice.push(BAD, [b"two"])
    listing = bob.list

    async def listed_and_gone(spaces: Sequence[str]) -> dict[str, str]:
        shown = await listing(spaces)
        at_remote(server, "update-ref", "-d", ref_name(BAD))
        return shown

    monkeypatch.setattr(bob, "list", listed_and_gone)
    assert await bob.fetch([TOPIC]) == ([tip], [])


# -- Servers that break off --------------------------------------------------------------------------------------
def through(server: Server, folder: Path, name: str, script: str, deadlines: Deadlines | None = None) -> GitRemote:
    """A remote behind a stand-in for ssh, which runs `$server` for what the server would say."""
    ssh = folder / f"ssh-for-{name}"
    ssh.write_text(f"#!/bin/sh\nfor server; do :; done\n{script}\n")
    ssh.chmod(0o700)
    chosen = {**server.environment, "GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "ssh"}
    return GitRemote(f"host:{server.repository}", folder / name, chosen, deadlines)


async def test_a_pack_that_is_cut_short_is_unreachable_or_unreadable_and_nothing_is_applied(
    server: Server, tmp_path: Path, alice: GitRemote
) -> None:
    tip = await alice.push(REF, [os.urandom(50_000)])

    async def fetch_cut(size: int) -> None:
        script = f'sh -c "$server" | head -c {size}'
        cut = through(server, tmp_path, f"bob-{size}", script, Deadlines(1.5, 60))
        with contextlib.suppress(RefusedError):
            found = await cut.fetch([TOPIC])
            assert (found.tips, unreadable(found)) == ([], [ref_name(REF)])

    sizes = (0, 100, 300, 20_000)
    await asyncio.gather(*map(fetch_cut, sizes))
    for size in sizes:
        whole = through(server, tmp_path, f"bob-{size}", 'exec sh -c "$server"')
        assert await whole.fetch([TOPIC]) == ([tip], [])


async def test_a_pack_with_a_flipped_bit_is_unreadable_and_nothing_is_applied(
    server: Server, tmp_path: Path, alice: GitRemote
) -> None:
    await alice.push(REF, [bytes(50_000)])
    loose = [path for path in (server.repository / "objects").rglob("*") if path.is_file()]
    largest = max(loose, key=lambda path: path.stat().st_size)
    largest.chmod(0o600)
    largest.write_bytes(largest.read_bytes()[:-8] + bytes(8))
    bob = GitRemote(server.address, tmp_path / "bob", server.environment)
    found = await bob.fetch([TOPIC])
    assert (found.tips, unreadable(found)) == ([], [ref_name(REF)])


WRONG_ANSWERS = {
    "silent": "exec sleep 1000",
    "chatty": "while :; do echo and on >&2; sleep 0.05; done",
    "garbage": "echo garbage; exec cat",
    "endless": "exec yes",
}


async def given_up(*calls: Awaitable[object]) -> None:
    """Wait for calls, at the same time, each of which must give its remote up."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    codes = [outcome.code if isinstance(outcome, RefusedError) else outcome for outcome in outcomes]
    assert set(codes) <= UNREACHED, codes


async def test_servers_that_never_answer_rightly_are_given_up(server: Server, tmp_path: Path) -> None:
    remotes = [
        through(server, tmp_path, name, f"echo $$ > {tmp_path}/{name}.pid; {script}", Deadlines(1.5, 2))
        for name, script in WRONG_ANSWERS.items()
    ]
    await given_up(*(remote.fetch([TOPIC]) for remote in remotes))
    assert [name for name in WRONG_ANSWERS if not is_gone(tmp_path / f"{name}.pid")] == []


async def test_a_server_that_accepts_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with git_servers.silence() as address:
        asking, pushing = (
            GitRemote(address, tmp_path / name, git_servers.surroundings(tmp_path), Deadlines(1, 60))
            for name in ("asking", "pushing")
        )
        await given_up(asking.fetch([TOPIC]), pushing.push(REF, [b"one"]))
