"""Two replicas of a town that exchange through a real remote: what a merge's check runs over."""

import asyncio
import os
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from moot_protocol.crypto import SeedSigner
from moot_protocol.merge.kinds import Role
from moot_testkit.machines.mqtt_broker import MqttBroker, speaks
from moot_testkit.towns.exchanging import in_place
from moot_testkit.towns.town import Api, Member
from mootd.edges.git.remote import GitRemote
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options, Version
from mootd.engine.machine.remotes import add_remote
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.membership.inviting import invite
from mootd.engine.membership.joining import join
from mootd.exchange.hub import Hub, Settings
from mootd.exchange.live_worker import LiveWorker
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange

R = TypeVar("R")

PATIENCE_S = 600
"""How long two replicas may take to come into step over a broker; nothing is measured by it."""


def pair_of_machines() -> tuple[Member, Member]:
    """A founder and a machine that has joined with its ticket and waits for the charter."""
    one, other = Member("one", 1), Member("other", 2)
    one.commit(lambda unit: found_town(unit, SeedSigner(b"r" * 32).public))
    made = one.commit(lambda unit: invite(unit, unit.replica.ledger, Role.WRITER, 0, ()))
    other.commit(lambda unit: found_town(unit, SeedSigner(b"q" * 32).public, OPERATIONAL_ONLY))
    other.commit(lambda unit: join(unit, made.ticket))
    return one, other


class OverGit:
    """Both machines push to a bare repository and fetch from it."""

    def __init__(self, folder: Path) -> None:
        self._hub = folder / "hub.git"
        subprocess.run(["git", "init", "-q", "--bare", self._hub], check=True)
        self.members = pair_of_machines()
        self.one, self.other = (Api(member) for member in self.members)
        self._ends = [self._end(member, folder) for member in self.members]

    def _end(self, member: Member, folder: Path) -> tuple[RefExchange, PlaneOnRemote]:
        member.commit(lambda unit: add_remote(unit, "origin", "git", str(self._hub), "auto", {}))
        remote = GitRemote(str(self._hub), folder / f"{member.name}.git", dict(os.environ))
        exchange = RefExchange(remote, 1, member.replica, member.commit, in_place)
        return exchange, PlaneOnRemote(member.replica, member.ledger, 1, member.commit, message_bytes=MESSAGE_BYTES)

    def exchange(self) -> None:
        """Rounds in turn until both are in step."""
        asyncio.run(self._rounds())

    async def _rounds(self) -> None:
        for _ in range(10):
            for exchange, plane in self._ends:
                await exchange.round([plane], Progress())
            if len({plane.summary() for _, plane in self._ends}) == 1:
                return
        raise AssertionError("the replicas don't come into step through Git")


class OverMqtt:
    """Both machines keep a line to a broker open while they exchange; in between neither sees what the other writes."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(8)
        self.members = pair_of_machines()
        self.one, self.other = (Api(member) for member in self.members)
        self._hubs = [self._hub(member, url) for member in self.members]

    def _hub(self, member: Member, url: str) -> Hub:
        member.commit(lambda unit: add_remote(unit, "live", "mqtt", url, "auto", {}))
        return Hub(
            member.replica,
            member.commit,
            self._threads,
            lambda row, hub: LiveWorker(MqttRemote(parse_address(row.url), options=Options(speaks())), row.number, hub),
            Settings(poll_s=0.2, base_s=0.1, cap_s=1),
        )

    def exchange(self) -> None:
        """Connect both until they are in step."""
        self._run(self._exchanged())

    async def _exchanged(self) -> None:
        tasks = [self._loop.create_task(hub.run()) for hub in self._hubs]
        try:
            await self._in_step()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for member in self.members:
                member.commit(lambda _: None)  # what is being committed is known when this comes after it

    async def _in_step(self) -> None:
        planes = [
            PlaneOnRemote(member.replica, member.ledger, 1, member.commit, message_bytes=MESSAGE_BYTES)
            for member in self.members
        ]
        async with asyncio.timeout(PATIENCE_S):
            while len({plane.summary() for plane in planes}) > 1 or not all(plane.may_speak() for plane in planes):
                for hub in self._hubs:
                    hub.happened()
                await asyncio.sleep(0.02)

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Let its threads end."""
        self._threads.shutdown()


@contextmanager
def over_git() -> Iterator[OverGit]:
    """Two machines and a bare repository."""
    with tempfile.TemporaryDirectory(prefix="moot-merge-") as folder:
        yield OverGit(Path(folder))


@contextmanager
def over_mqtt() -> Iterator[OverMqtt]:
    """Two machines and a broker of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with tempfile.TemporaryDirectory(prefix="moot-merge-") as folder:
        broker = MqttBroker(Path(folder), version=Version.V311)
        broker.start()
        pair = OverMqtt(f"mqtt://127.0.0.1:{broker.port}", loop)
        try:
            yield pair
        finally:
            pair.close()
            broker.stop()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
