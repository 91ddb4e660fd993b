"""Machines of a town that exchange a plane through real Git repositories.

MOOT_PUSHES=10000 says how many small pushes the remote has to hold in little room; `-s` shows what came of it.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from moot_testkit.machines.git_servers import Server, at_scale, bare, local, surroundings
from moot_testkit.towns.exchanging import QUICK, Peer, in_step, peers, settle, through_git, until
from mootd.edges.git.remote import GitRemote
from mootd.remotes import Ref, Tip

PUSHES = int(os.environ.get("MOOT_PUSHES") or at_scale(5, 1500))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with local(tmp_path) as served:
        yield served


def connect(peer: Peer, folder: Path, repository: Path, name: str = "origin", mode: str = "auto") -> None:
    """Let a machine exchange with a repository; Moot's own one lies beside it."""
    own = folder / f"{peer.name} {name}"
    own.mkdir()
    peer.add(through_git(f"file://{repository}", own, surroundings(folder)), name, mode=mode)


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commits(repository: Path) -> int:
    return int(git(repository, "rev-list", "--all", "--count"))


async def test_two_machines_agree_through_a_bare_repository(tmp_path: Path, server: Server) -> None:
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            connect(peer, tmp_path, server.repository)
        ada.write(3)
        await until(lambda: in_step(ada, bob))
        bob.write(3)
        ada.write()
        await until(lambda: in_step(ada, bob) and ada.events() > 10)
        assert not ada.progress().problems
        assert not bob.progress().problems


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often each push of whichever machine has asked its remote."""
    counted: list[int] = []
    under_way: dict[GitRemote, int] = {}
    push, offer = GitRemote.push, GitRemote._offer

    async def pushing(remote: GitRemote, ref: Ref, frames: Sequence[bytes]) -> Tip:
        under_way[remote] = 0  # a remote has one caller at a time
        try:
            return await push(remote, ref, frames)
        finally:
            counted.append(under_way.pop(remote))

    async def offering(remote: GitRemote, commit: str, name: str) -> str:
        if remote in under_way:
            under_way[remote] += 1
        return await offer(remote, commit, name)

    monkeypatch.setattr(GitRemote, "push", pushing)
    monkeypatch.setattr(GitRemote, "_offer", offering)
    return counted


async def test_machines_that_push_at_once_never_conflict(tmp_path: Path, server: Server, tries: list[int]) -> None:
    count, pushes = at_scale(3, 10), at_scale(2, 20)

    async def work(peer: Peer) -> None:
        for _ in range(pushes):
            peer.write()
            assert not any(remote["error"] for remote in await peer.sync())

    async with peers(count) as everyone:
        for peer in everyone:
            connect(peer, tmp_path, server.repository)
        await settle(*everyone, rounds=2)
        before = commits(server.repository)
        tries.clear()
        await asyncio.gather(*(work(peer) for peer in everyone))
        assert len(tries) == count * pushes
        assert set(tries) <= {1, 2}
        assert commits(server.repository) == before + count * pushes
        await settle(*everyone, rounds=2)
        assert in_step(*everyone)
        assert len(git(server.repository, "for-each-ref", "refs/moot").splitlines()) == count
        assert not any(peer.progress().problems or peer.progress().alarms for peer in everyone)


async def test_a_machine_that_sees_one_of_two_remotes_is_served_by_relay(tmp_path: Path) -> None:
    near, far = bare(tmp_path, "near.git"), bare(tmp_path, "far.git")
    async with peers(3) as (ada, bob, carl):
        connect(ada, tmp_path, near)
        connect(bob, tmp_path, near)
        connect(bob, tmp_path, far, "far")
        connect(carl, tmp_path, far)
        ada.write(2)
        await settle(ada, bob, carl, rounds=4)
        carl.write(2)
        await settle(carl, bob, ada, rounds=2)
        assert in_step(ada, bob, carl)
        assert carl.events() > 5
        before = commits(near), commits(far)
        await settle(ada, bob, carl)
        assert (commits(near), commits(far)) == before


def loose(repository: Path) -> tuple[int, int]:
    """Objects and bytes of a repository."""
    counts = dict(line.split(": ") for line in git(repository, "count-objects", "-v").splitlines())
    files = [path for path in (repository / "objects").rglob("*") if path.is_file()]
    return int(counts["count"]) + int(counts["in-pack"]), sum(path.stat().st_size for path in files)


async def test_one_event_on_a_large_plane_is_one_small_commit(tmp_path: Path, server: Server) -> None:
    async with peers(2) as (ada, bob):
        connect(ada, tmp_path, server.repository)
        connect(bob, tmp_path, server.repository)
        ada.write_at_once(at_scale(200, 5000))
        await settle(ada, bob)
        before = commits(server.repository), *loose(server.repository)
        ada.write()
        await ada.sync()
        after = commits(server.repository), *loose(server.repository)
        assert after[0] - before[0] == 1
        assert after[1] - before[1] <= 4
        assert after[2] - before[2] < 2000


async def test_a_machine_that_comes_late_gets_all_in_one_round_once_it_is_a_member(tmp_path: Path) -> None:
    repository = bare(tmp_path)
    async with peers(2) as (ada, bob):
        connect(ada, tmp_path, repository)
        ada.write(20)
        await ada.sync()
        connect(bob, tmp_path, repository)
        await bob.sync()
        assert bob.events() == ada.events() + 2  # with its own certificate, and which version it runs


async def test_small_pushes_make_way_for_a_new_generation_that_readers_follow_without_an_alarm(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.SMALL_PUSHES", 256 if PUSHES > 1000 else 3)
    async with peers(3) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            connect(peer, tmp_path, server.repository)
        await settle(ada, bob)
        for number in range(PUSHES):
            ada.write()
            await ada.sync()
            if number % (100 if PUSHES > 1000 else 4) == 0:
                await bob.sync()
                assert not bob.progress().alarms
        await settle(ada, bob, carl)
        assert in_step(ada, bob, carl)
        assert not any(peer.progress().problems or peer.progress().alarms for peer in (ada, bob, carl))
        names = git(server.repository, "for-each-ref", "--format=%(refname)", "refs/moot").splitlines()
        assert len(names) == 3
        assert max(int(name.rpartition("/")[2]) for name in names) > 1
        frames = sum(sealed_bytes(server.repository, name) for name in names)
        git(server.repository, "reflog", "expire", "--expire=now", "--all")
        git(server.repository, "gc", "--quiet", "--prune=now")
        held = loose(server.repository)[1]
        print(f"{PUSHES:,} pushes of one event: {frames:,} sealed bytes, {held:,} held by the remote")
        assert held <= 2 * frames


def sealed_bytes(repository: Path, name: str) -> int:
    """Bytes of the blobs in the history of a ref: frames."""
    listed = git(repository, "rev-list", "--objects", "--no-object-names", name)
    checked = subprocess.run(
        ["git", "-C", repository, "cat-file", "--batch-check=%(objecttype) %(objectsize)"],
        input=listed, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return sum(int(line.split()[1]) for line in checked.splitlines() if line.startswith("blob"))


@pytest.mark.parametrize("harm", ["deleted", "moved back"])
async def test_a_ref_that_somebody_takes_away_is_told_in_words_and_brought_back_by_its_sender(
    tmp_path: Path, server: Server, harm: str
) -> None:
    async with peers(3) as (ada, bob, carl):
        for peer in (ada, bob):
            connect(peer, tmp_path, server.repository)
        for _ in range(2):
            ada.write()
            await settle(ada, bob)
        ref = ada.on_remote().sender.hex()
        name = next(
            line for line in git(server.repository, "for-each-ref", "--format=%(refname)").splitlines() if ref in line
        )
        tip = git(server.repository, "rev-parse", name)
        git(server.repository, "update-ref", *(["-d", name] if harm == "deleted" else [name, f"{tip}~1"]))
        held = bob.position()
        await bob.sync()
        (alarm,) = bob.progress().alarms
        assert (alarm.name, alarm.kind) == (name, "missing" if harm == "deleted" else "went_back")
        assert bob.position() == held
        await ada.sync()
        git(server.repository, "merge-base", "--is-ancestor", tip, name)
        await bob.sync()
        assert not bob.progress().alarms
        connect(carl, tmp_path, server.repository)
        await carl.sync()
        assert carl.events() == ada.events() + 2


async def test_a_remote_that_cannot_be_reached_says_so_and_keeps_no_other_waiting(tmp_path: Path) -> None:
    repository = bare(tmp_path)
    async with peers(2, QUICK) as (ada, bob):
        connect(ada, tmp_path, tmp_path / "nowhere.git", "nowhere")
        connect(ada, tmp_path, repository)
        connect(bob, tmp_path, repository)
        for _ in range(3):
            ada.write()
            await until(lambda: in_step(ada, bob))
        await until(lambda: ada.progress("nowhere").failures > 3)
        answers = {remote["remote"]: remote for remote in await ada.sync()}
        assert not answers["origin"]["error"]
        assert answers["nowhere"]["error"]
        assert answers["nowhere"]["rounds"] == 0
