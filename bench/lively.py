"""From a write on one machine to its reader on another, over a local broker, against a bare publish and receive.

The other machine is another process, as it is in life: this file runs itself for it. Times are of the clock that all
processes of a host share.
"""

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
from functools import partial
from pathlib import Path

import aiomqtt
from exchanged import machine
from measure import Row, micro
from world import PROJECT, scratch

from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.trust.ticket import decode_ticket, encode_ticket
from mootd.app import SWITCH_SECONDS
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.engine.machine.remotes import RemoteRow, add_remote, remove_remote
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.exchange.hub import Hub, Settings
from mootd.exchange.live_worker import LiveWorker
from mootd.service.writing.writes import carry_out
from mootd.writer import Commit, Writer

RUNS = 60
REST_S = 0.1
"""Seconds before each write: it finds everything at rest."""
WAIT_S = 20.0
BARE, READER = "bare", "reader"


def bench_live() -> list[Row]:
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
            return asyncio.run(_rows(path, port))
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


async def _rows(path: Path, port: int) -> list[Row]:
    sys.setswitchinterval(SWITCH_SECONDS)  # as the daemon does
    floor = await _bare(port)
    taken, committing = await _live(path, port)
    durable = floor + 2 * committing
    what = "a write to its reader elsewhere over a broker, p50"
    return [
        Row(what, micro(taken), micro(floor), taken / floor, 10, "×"),
        Row("the same, against that and two bare commits", micro(taken), micro(durable), taken / durable, 3, "×"),
    ]


@asynccontextmanager
async def _other(*words: object) -> AsyncIterator[Callable[[], "asyncio.Future[float]"]]:
    """The other process; what is given waits for the next moment that it reports."""
    command = [sys.executable, __file__, *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout is not None
    lines = process.stdout

    async def reported() -> float:
        return float(await asyncio.wait_for(lines.readline(), WAIT_S))

    await reported()  # it is ready
    try:
        yield lambda: asyncio.get_running_loop().create_task(reported())
    finally:
        process.kill()
        await process.wait()


def _report(moment: float) -> None:
    print(moment, flush=True)


# -- The floor ---------------------------------------------------------------------------------------------------
async def _bare(port: int) -> float:
    """A publish at QoS 1 and its receipt by a client in another process."""
    async with _other(BARE, port) as reported, aiomqtt.Client("127.0.0.1", port) as client:
        times = []
        for _ in range(RUNS):
            await asyncio.sleep(REST_S / 4)
            arrival = reported()
            begun = time.perf_counter()
            await client.publish("bare", bytes(600), qos=1)
            times.append(await arrival - begun)
    return statistics.median(times)


async def _bare_reader(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("bare", qos=1)
        _report(0)
        async for _ in client.messages:
            _report(time.perf_counter())


# -- The machines ------------------------------------------------------------------------------------------------
async def _live(path: Path, port: int) -> tuple[float, float]:
    """The median from a write to its being applied elsewhere, and that of a bare commit."""
    writer, ticket = machine(path, "writer", path / "unused.git", None)
    with writer.replica.transaction() as unit:
        carry_out(unit, InitProject(actor="ada", prefix=PROJECT))
        carry_out(unit, Create(actor="ada", project=PROJECT, fields=IssueFields(title="here before")))
    async with (
        _serving(writer.replica, port, lambda: None) as write,
        _other(READER, path, port, encode_ticket(ticket)) as reported,
    ):
        times, commits = [], []
        for number in range(RUNS):
            await asyncio.sleep(REST_S)
            arrival = reported()
            request = Create(actor="ada", project=PROJECT, fields=IssueFields(title=f"live {number}"))
            begun = time.perf_counter()
            await asyncio.wrap_future(write.submit(partial(carry_out, request=request)))
            times.append(await arrival - begun)
        for _ in range(RUNS):
            begun = time.perf_counter()
            await asyncio.wrap_future(write.submit(lambda _: None))
            commits.append(time.perf_counter() - begun)
    return statistics.median(times), statistics.median(commits)


async def _reader(path: Path, port: int, ticket: str) -> None:
    """The other machine: joins, and reports whenever events of others have been applied."""
    sys.setswitchinterval(SWITCH_SECONDS)
    reader, _ = machine(path, "reader", path / "unused.git", decode_ticket(ticket))
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    replica = reader.replica
    async with _serving(replica, port, lambda: loop.call_soon_threadsafe(changed.set)):
        while not replica.projects:
            await changed.wait()
            changed.clear()
        await asyncio.sleep(1)  # so that its own entry has been told
        _report(0)
        arrival = replica.arrival
        while True:
            await changed.wait()
            changed.clear()
            if replica.arrival != arrival:
                _report(time.perf_counter())
                arrival = replica.arrival


@asynccontextmanager
async def _serving(replica: Replica, port: int, committed: Callable[[], object]) -> AsyncIterator[Writer[Unit]]:
    """The machine's hub on the broker, and its writer."""
    hubs: list[Hub] = []

    def happened(commit: Commit) -> None:
        if commit.error is None and hubs:
            hubs[0].happened()
            committed()

    with replica.transaction() as unit:
        remove_remote(unit, "origin")
        add_remote(unit, "live", "mqtt", f"mqtt://127.0.0.1:{port}", "auto", {})
    writer = Writer(replica.transaction, observer=happened)

    def worker(row: RemoteRow, hub: Hub) -> LiveWorker:
        return LiveWorker(MqttRemote(parse_address(row.url)), row.number, hub)

    with ThreadPoolExecutor(4) as threads:
        hub = Hub(replica, lambda work: writer.submit(work, bulk=True).result(), threads, worker, Settings(poll_s=5))
        hubs.append(hub)
        task = asyncio.get_running_loop().create_task(hub.run())
        try:
            yield writer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.stop()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", given]:
            asyncio.run(_bare_reader(int(given)))
        case ["reader", folder, given, invited]:
            asyncio.run(_reader(Path(folder), int(given), invited))
