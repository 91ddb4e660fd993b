"""From a write on one machine to its reader on another, over a local broker, against a bare publish and receive."""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
from exchanged import Machine, town
from measure import Row, micro
from world import PROJECT, scratch

from moot_protocol.requests import Create, IssueFields
from mootd.app import SWITCH_SECONDS
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.engine.remotes import RemoteRow, add_remote, remove_remote
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.exchange.hub import Hub, Settings
from mootd.exchange.live_worker import LiveWorker
from mootd.service.writes import carry_out
from mootd.writer import Commit, Writer

RUNS = 60
WRITERS: dict[bytes, Writer[Unit]] = {}
"""The writer of each machine that is served, by its replica's key."""


def bench_live() -> list[Row]:
    sys.setswitchinterval(SWITCH_SECONDS)  # as the daemon does
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    if broker is None:
        print("(no mosquitto: nothing live is measured)")
        return []
    with scratch() as path, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = path / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n", encoding="utf-8")
        running = subprocess.Popen([broker, "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            return asyncio.run(_live(path, port))
        finally:
            running.terminate()
            running.wait()


def _wait_for(port: int) -> None:
    """Until the broker listens."""
    for _ in range(500):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit("the broker doesn't start")


async def _live(path: Path, port: int) -> list[Row]:
    floor = await _bare(port)
    first, second = town(path, 2)
    await first.round()
    await second.round()
    await first.round()
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with (
        _serving(first, port, lambda: None),
        _serving(second, port, lambda: loop.call_soon_threadsafe(arrived.set)) as _,
    ):
        write = WRITERS[first.replica.id]
        times = []
        for number in range(RUNS + 5):
            await asyncio.sleep(0.05)  # so that each write finds everything at rest
            arrived.clear()
            before = second.replica.arrival
            begun = time.perf_counter()
            request = Create(actor="ada", project=PROJECT, fields=IssueFields(title=f"live {number}"))
            await asyncio.wrap_future(write.submit(lambda unit, request=request: carry_out(unit, request)))
            while second.replica.arrival == before:
                await asyncio.wait_for(arrived.wait(), 20)
                arrived.clear()
            times.append(time.perf_counter() - begun)
    taken = statistics.median(times[5:])
    return [
        Row("a write to its reader elsewhere over a broker, p50", micro(taken), micro(floor), taken / floor, 10, "×")
    ]


@asynccontextmanager
async def _serving(machine: Machine, port: int, committed: Callable[[], object]) -> AsyncIterator[Hub]:
    """The machine's hub on the broker, with a writer of its own."""
    hubs: list[Hub] = []

    def happened(commit: Commit) -> None:
        if commit.error is None and hubs:
            hubs[0].happened()
            committed()

    replica: Replica = machine.replica
    with replica.transaction() as unit:
        remove_remote(unit, "origin")
        add_remote(unit, "live", "mqtt", f"mqtt://127.0.0.1:{port}", "auto", {})
    writer = Writer(replica.transaction, observer=happened)
    WRITERS[replica.id] = writer

    def worker(row: RemoteRow, hub: Hub) -> LiveWorker:
        return LiveWorker(MqttRemote(parse_address(row.url)), row.number, hub)

    with ThreadPoolExecutor(4) as threads:
        hub = Hub(replica, lambda work: writer.submit(work).result(), threads, worker, Settings(poll_s=5))
        hubs.append(hub)
        task = asyncio.get_running_loop().create_task(hub.run())
        await asyncio.sleep(1)
        try:
            yield hub
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    writer.stop()


async def _bare(port: int) -> float:
    """A publish at QoS 1 and its receipt by another client."""
    async with aiomqtt.Client("127.0.0.1", port) as one, aiomqtt.Client("127.0.0.1", port) as other:
        await other.subscribe("bare", qos=1)
        times = []
        messages = aiter(other.messages)
        for _ in range(RUNS):
            begun = time.perf_counter()
            await one.publish("bare", bytes(600), qos=1)
            await anext(messages)
            times.append(time.perf_counter() - begun)
    return statistics.median(times)
