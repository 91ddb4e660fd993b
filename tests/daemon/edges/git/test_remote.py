"""A Git repository as a remote: what the conformance suite can't see from outside."""

import os
import subprocess
from collections.abc import Iterator
from hashlib import sha1
from itertools import count
from pathlib import Path

import pytest

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_testkit.machines import git_servers
from moot_testkit.machines.git_servers import Server
from moot_testkit.refusals import awaited_refusal
from mootd.edges.entropy import SeededEntropy
from mootd.edges.git.names import ref_name
from mootd.edges.git.process import Deadlines
from mootd.edges.git.remote import GitRemote
from mootd.remotes import Ref, Tip

TOPIC, ALICE, BOB = b"t" * 16, b"a" * 16, b"b" * 16
REF = Ref(TOPIC, ALICE, 1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with git_servers.local(tmp_path) as started:
        yield started


def remote(server: Server, name: str, **more: str) -> GitRemote:
    return GitRemote(server.address, server.repository.parent / name, {**server.environment, **more})


@pytest.fixture
def alice(server: Server) -> GitRemote:
    return remote(server, "alice")


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "--git-dir", repository, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def hook(server: Server, name: str, script: str) -> Path:
    """A hook of the remote's, and a file with a line for each time it ran."""
    path, log = server.repository / "hooks" / name, server.repository / "hook.log"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho ran >> {log}\n{script}\n")
    path.chmod(0o700)
    log.touch()
    return log


@pytest.mark.parametrize("address", ["--upload-pack=x", "ext::sh", "relative/path", ""])
def test_there_is_no_remote_without_an_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(RefusedError) as caught:
        GitRemote(address, tmp_path / "r", {})
    assert caught.value.code is Code.INVALID
    assert not (tmp_path / "r").exists()


async def test_a_folder_without_a_repository_is_no_address(tmp_path: Path) -> None:
    nowhere = GitRemote(str(tmp_path / "nowhere"), tmp_path / "alice", git_servers.surroundings(tmp_path))
    for call in (nowhere.fetch([TOPIC]), nowhere.push(REF, [b"one"]), nowhere.test(SeededEntropy(1))):
        error = await awaited_refusal(call)
        assert (error.code, error.retryable) == (Code.INVALID, False)


async def test_what_is_no_commit_never_reaches_git(alice: GitRemote) -> None:
    for commit in ("", "--all", "HEAD", "0" * 39):
        with pytest.raises(MalformedError):
            await alice.read(Tip(REF, commit), None, 100)


# -- Pushing -----------------------------------------------------------------------------------------------------
async def test_a_push_costs_the_same_however_long_the_history_is(server: Server, alice: GitRemote) -> None:
    sizes = []
    before = 0
    for number in range(git_servers.at_scale(8, 100)):
        await alice.push(REF, [b"%05d" % number])
        objects = int(git(server.repository, "count-objects").split()[0])
        sizes.append(objects - before)
        before = objects
    assert set(sizes) == {3}  # a commit, its tree, a frame


async def test_a_push_that_the_remote_is_busy_for_is_tried_twice_and_may_be_tried_again(
    server: Server, alice: GitRemote
) -> None:
    log = hook(server, "pre-receive", "exit 0")
    await alice.push(REF, [b"one"])
    lock = server.repository / f"{ref_name(REF)}.lock"
    lock.touch()
    error = await awaited_refusal(alice.push(REF, [b"two"]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
    assert log.read_text() == "ran\n" * 3
    lock.unlink()
    tip = await alice.push(REF, [b"two"])
    assert await alice.read(tip, None, 100) == ([b"one", b"two"], tip.commit)


async def test_a_push_that_was_taken_though_its_answer_was_lost_is_the_same_when_repeated(
    server: Server, alice: GitRemote
) -> None:
    first = await alice.push(REF, [b"one"])
    hook(server, "reference-transaction", '[ "$1" != committed ] || kill -9 $PPID')
    error = await awaited_refusal(alice.push(REF, [b"two"]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
    taken = git(server.repository, "rev-parse", ref_name(REF))
    assert taken != first.commit
    (server.repository / "hooks" / "reference-transaction").unlink()
    assert await alice.push(REF, [b"two"]) == Tip(REF, taken)


async def test_a_push_never_forces(server: Server, alice: GitRemote) -> None:
    await alice.push(REF, [b"one"])
    other = await remote(server, "bob").push(REF._replace(sender=BOB), [b"other"])
    git(server.repository, "update-ref", ref_name(REF), other.commit)
    assert (await awaited_refusal(alice.push(REF, [b"two"]))).code is Code.CONFLICT
    assert git(server.repository, "rev-parse", ref_name(REF)) == other.commit


async def test_many_frames_in_one_push_come_back(server: Server, alice: GitRemote) -> None:
    frames = [os.urandom(100) for _ in range(git_servers.at_scale(500, 10_000))]
    tip = await alice.push(REF, frames)
    bob = remote(server, "bob")
    assert await bob.fetch([TOPIC]) == ([tip], [])
    assert await bob.read(tip, None, 1 << 30) == (frames, tip.commit)


# -- The user's own configuration --------------------------------------------------------------------------------
async def test_hooks_of_the_user_never_run(tmp_path: Path) -> None:
    hooks, config = tmp_path / "hooks", tmp_path / "config"
    hooks.mkdir()
    for name in ("pre-push", "reference-transaction", "post-checkout", "pre-auto-gc", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/mark\nexit 1\n")
        (hooks / name).chmod(0o700)
    config.write_text(f"[core]\n\thooksPath = {hooks}\n")
    with git_servers.daemon(tmp_path) as server:  # a folder's own git would run them, as on the user's own push
        alice = remote(server, "alice", GIT_CONFIG_GLOBAL=str(config))
        tip = await alice.push(REF, [b"one"])
        assert await remote(server, "bob", GIT_CONFIG_GLOBAL=str(config)).fetch([TOPIC]) == ([tip], [])
        await alice.maintain()
    assert not (tmp_path / "mark").exists()


async def test_strange_settings_of_the_user_change_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home" / "gitconfig").write_text("""
[fetch]\n\tprune = false\n\trecurseSubmodules = on-demand\n\twriteCommitGraph = true\n\tparallel = 0
[push]\n\tdefault = nothing\n\tgpgSign = true\n\tfollowTags = true\n\trecurseSubmodules = only\n\tpushOption = x
[core]\n\tlogAllRefUpdates = always\n\tquotePath = true\n\tabbrev = 4\n\tsharedRepository = world\n\tbare = false
[log]\n\tshowSignature = true\n\tdate = relative\n[color]\n\tui = always\n[commit]\n\tgpgSign = true
[init]\n\tdefaultBranch = x y\n[i18n]\n\tcommitEncoding = latin1\n[format]\n\tpretty = fuller\n[gc]\n\tauto = 1
[transfer]\n\tfsckObjects = false\n[diff]\n\texternal = false\n[column]\n\tui = always\n[rev]\n\tparents = no
""")
    alice, bob = remote(server, "alice"), remote(server, "bob")
    await alice.push(REF, [b"one"])
    tip = await alice.push(REF, [b"two"])
    assert await bob.fetch([TOPIC]) == ([tip], [])
    assert await bob.read(tip, None, 100) == ([b"one", b"two"], tip.commit)
    await alice.drop(REF)
    await alice.maintain()
    assert not (tmp_path / "alice" / "logs").exists()


async def test_a_git_repository_around_the_daemon_leads_nothing_astray(server: Server, tmp_path: Path) -> None:
    other = git_servers.bare(tmp_path, "other.git")
    alice = remote(
        server, "alice", GIT_DIR=str(other), GIT_OBJECT_DIRECTORY=str(other / "objects"), GIT_WORK_TREE=str(tmp_path)
    )
    tip = await alice.push(REF, [b"one"])
    assert await remote(server, "bob").fetch([TOPIC]) == ([tip], [])
    assert git(other, "count-objects") == "0 objects, 0 kilobytes"


# -- Trying a remote out, and upkeep -----------------------------------------------------------------------------
async def test_a_remote_that_is_tried_out_is_left_as_it_was(server: Server, alice: GitRemote) -> None:
    await alice.push(REF, [b"one"])
    before = git(server.repository, "for-each-ref")
    assert await alice.test(SeededEntropy(1)) == (1, True, "", False)
    assert git(server.repository, "for-each-ref") == before


async def test_a_remote_that_keeps_what_was_pushed_says_so(server: Server, alice: GitRemote) -> None:
    hook(server, "update", 'case "$3" in 0000*) exit 1;; esac')
    tested = await alice.test(SeededEntropy(1))
    assert tested[:2] == (0, True)
    assert ("declined" in tested.words, tested.is_denied) == (True, True)
    await alice.push(REF, [b"one"])
    assert (await awaited_refusal(alice.drop(REF))).code is Code.DENIED


async def test_a_push_that_is_rejected_is_told_in_the_remote_s_own_words(server: Server, alice: GitRemote) -> None:
    hook(server, "pre-receive", "echo fatal: out of objects/1 space >&2; exit 1")
    assert "out of objects/1 space" in (await awaited_refusal(alice.push(REF, [b"one"]))).message


async def test_upkeep_packs_what_has_piled_up_and_loses_nothing(server: Server, alice: GitRemote) -> None:
    # Git guesses how much has piled up from how many objects' ids begin with 17.
    frames = (b"%d" % number for number in count())
    piled = [frame for frame, _ in zip(filter(begins_with_17, frames), range(10), strict=False)]
    tip = await alice.push(REF, piled[:5])
    await alice.maintain()
    loose = server.repository.parent / "alice" / "objects" / "17"
    assert len(list(loose.iterdir())) == 5
    tip = await alice.push(REF, piled[5:])
    await alice.maintain()
    assert not loose.exists()
    assert await alice.read(tip, None, 1000) == (piled, tip.commit)
    await alice.push(REF, [b"later"])


def begins_with_17(frame: bytes) -> bool:
    return sha1(b"blob %d\0%s" % (len(frame), frame), usedforsecurity=False).hexdigest().startswith("17")


async def test_a_repository_that_was_damaged_is_reported_and_can_be_made_anew(server: Server, alice: GitRemote) -> None:
    tip = await alice.push(REF, [b"one"])
    home = server.repository.parent / "alice"
    for path in home.glob("objects/??/*"):
        path.unlink()
    error = await awaited_refusal(alice.read(tip, None, 100))
    assert error.code is Code.STORE_DAMAGED
    home.rename(server.repository.parent / "aside")
    again = remote(server, "alice")
    tip = await again.push(REF, [b"two"])
    assert await again.read(tip, None, 100) == ([b"one", b"two"], tip.commit)


async def test_deadlines_are_those_given(tmp_path: Path) -> None:
    with git_servers.silence() as address:
        remote = GitRemote(address, tmp_path / "alice", git_servers.surroundings(tmp_path), Deadlines(0.9, 1))
        error = await awaited_refusal(remote.test(SeededEntropy(1)))
    assert error.code is Code.TIMEOUT
    assert "0.9 s" in error.message
