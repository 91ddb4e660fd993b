"""The Git remote against real servers, reached as users reach them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.machines import git_servers
from moot_testkit.machines.git_servers import PASSWORD, SERVERS, Server
from mootd.edges.entropy import SystemEntropy
from mootd.edges.git.remote import GitRemote
from mootd.remotes import Fetched, Ref

TOPIC, ALICE, BOB = b"t" * 16, b"a" * 16, b"b" * 16
REF = Ref(TOPIC, ALICE, 1)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path) as started:
        yield started


def remote(server: Server, name: str, **more: str) -> GitRemote:
    return GitRemote(server.address, server.repository.parent / name, {**server.environment, **more})


def connections(server: Server) -> int:
    return server.log.read_text().count("Connection from")


async def test_frames_cross_every_kind_of_server(server: Server) -> None:
    alice, bob = remote(server, "alice"), remote(server, "bob")
    frames = [b"small", bytes(range(256)) * 8192]
    for frame in frames:
        tip = await alice.push(REF, [frame])
    assert await bob.fetch([TOPIC]) == ([tip], [])
    assert await bob.read(tip, None, 1 << 30) == (frames, tip.commit)
    answer = await bob.push(REF._replace(sender=BOB), [b"answer"])
    assert set((await alice.fetch([TOPIC])).tips) == {tip, answer}
    await alice.drop(REF)
    await alice.drop(REF)
    assert await alice.fetch([TOPIC]) == ([answer], [])


async def test_every_kind_of_server_turns_out_to_be_fit(server: Server) -> None:
    alice = remote(server, "alice")
    await alice.push(REF, [b"one"])
    assert await alice.test(SystemEntropy()) == (1, True, "", False)
    assert await remote(server, "bob").fetch([TOPIC]) == await alice.fetch([TOPIC])


async def test_nothing_new_costs_one_connection(tmp_path: Path) -> None:
    with git_servers.daemon(tmp_path) as server:
        alice, bob = remote(server, "alice"), remote(server, "bob")
        for sender in (ALICE, BOB):
            for generation in (1, 2):
                await alice.push(Ref(TOPIC, sender, generation), [b"one"])
        topics = [TOPIC, b"-" * 16]
        found = await bob.fetch(topics)
        before = connections(server)
        for _ in range(3):
            assert await bob.fetch(topics) == found
        assert connections(server) - before == 3
        await alice.push(REF, [b"two"])
        before = connections(server)
        assert await bob.fetch(topics) != found
        assert connections(server) - before == 2


async def test_ten_senders_that_push_at_once_never_conflict(tmp_path: Path) -> None:
    senders = [bytes([number]) * 16 for number in range(10)]
    turns = git_servers.at_scale(2, 20)
    with git_servers.daemon(tmp_path) as server:

        async def sender(topic_sender: bytes) -> None:
            own = remote(server, topic_sender.hex())
            for turn in range(turns):
                await own.push(Ref(TOPIC, topic_sender, 1), [topic_sender, b"%d" % turn])

        async with asyncio.TaskGroup() as tasks:
            for one in senders:
                tasks.create_task(sender(one))
        assert server.log.read_text().count("Request receive-pack") <= 2 * turns * len(senders)
        reader = remote(server, "reader")
        tips = (await reader.fetch([TOPIC])).tips
        for tip in tips:
            frames, _ = await reader.read(tip, None, 1 << 20)
            assert frames == [part for turn in range(turns) for part in (tip.ref.sender, b"%d" % turn)]
    assert [tip.ref.sender for tip in tips] == senders


async def test_a_wrong_password_is_denied_and_never_shown(tmp_path: Path) -> None:
    with git_servers.web(tmp_path) as server:
        nobody = git_servers.surroundings(tmp_path)
        host = server.address.removeprefix("http://")
        for address in (server.address, f"http://alice@{host}", f"http://alice:{PASSWORD[:6]}@{host}"):
            for call in (
                GitRemote(address, tmp_path / "nobody", nobody).fetch([TOPIC]),
                GitRemote(address, tmp_path / "nobody", nobody).push(REF, [b"one"]),
            ):
                with pytest.raises(RefusedError) as caught:
                    await call
                assert caught.value.code is Code.DENIED
                assert not caught.value.retryable
                assert PASSWORD[:6] not in str(caught.value)
        right = GitRemote(f"http://alice:s3cret%2f%40x@{host}", tmp_path / "alice", nobody)
        assert await right.fetch([TOPIC]) == Fetched([], [])


async def test_a_key_that_the_server_does_not_know_is_denied(tmp_path: Path) -> None:
    with git_servers.ssh(tmp_path) as server:
        (tmp_path / "authorized_keys").write_text("")
        with pytest.raises(RefusedError) as caught:
            await remote(server, "alice").fetch([TOPIC])
    assert caught.value.code is Code.DENIED


async def test_a_server_that_is_unknown_is_denied_without_asking(tmp_path: Path) -> None:
    with git_servers.ssh(tmp_path) as server:
        (tmp_path / "known_hosts").write_text("")
        with pytest.raises(RefusedError) as caught:
            await remote(server, "alice").fetch([TOPIC])
    assert caught.value.code is Code.DENIED


async def test_the_ssh_command_of_the_environment_comes_before_the_configured_one(tmp_path: Path) -> None:
    with git_servers.ssh(tmp_path) as server:
        plain = git_servers.surroundings(tmp_path, GIT_SSH_COMMAND=f"ssh -F {tmp_path}/ssh_config")
        assert await GitRemote(server.address, tmp_path / "alice", plain).fetch([TOPIC]) == ([], [])


async def test_a_daemon_that_lets_nobody_push_is_denied_or_unreachable_in_words(tmp_path: Path) -> None:
    with git_servers.daemon(tmp_path) as server:
        (server.repository / "config").write_text(
            (server.repository / "config").read_text() + "[daemon]\n\treceivepack = false\n"
        )
        alice = remote(server, "alice")
        assert (await alice.test(SystemEntropy()))[:2] == (0, False)
        with pytest.raises(RefusedError) as caught:
            await alice.push(REF, [b"one"])
    assert caught.value.code is Code.DENIED


async def test_a_hook_that_declines_is_denied_at_once(tmp_path: Path) -> None:
    with git_servers.local(tmp_path) as server:
        hook = server.repository / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho '\x1b[31mnot you' >&2\nexit 1\n")
        hook.chmod(0o700)
        with pytest.raises(RefusedError) as caught:
            await remote(server, "alice").push(REF, [b"one"])
        tested = await remote(server, "alice").test(SystemEntropy())
    assert caught.value.code is Code.DENIED
    assert tested[:2] == (0, False)
    assert "hook declined" in tested.words


async def test_short_names_of_the_users_own_work(tmp_path: Path) -> None:
    with git_servers.local(tmp_path) as server:
        own = git_servers.surroundings(tmp_path, f'[url "file://{tmp_path}/"]\n\tinsteadOf = mine:\n')
        alice = GitRemote("mine:remote.git", tmp_path / "alice", own)
        tip = await alice.push(REF, [b"one"])
        assert await remote(server, "bob").fetch([TOPIC]) == ([tip], [])
