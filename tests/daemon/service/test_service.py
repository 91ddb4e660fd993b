"""The service with its real writer and threads: quick and long requests, imports in parts, and waiting for news."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import Join, RemoveRemote
from moot_protocol.requests.issues import (
    Blocked,
    Close,
    Create,
    InitProject,
    InitTown,
    IssueFields,
    ListIssues,
    Script,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Events, Ping
from moot_protocol.requests.transfer import Import
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import seed
from moot_testkit.ledger import PATIENCE_S
from moot_testkit.towns.town import PROJECT, Member, make_api, make_town
from mootd.edges.paths import Places
from mootd.engine.membership.charter_writing import found_plane
from mootd.engine.patience import Waiting
from mootd.engine.unit import Unit
from mootd.service.machine.own_machine import Machine
from mootd.service.reading.quick import QuickReads
from mootd.service.reading.reads import READS
from mootd.service.service import IMPORT_SESSIONS, Service
from mootd.service.snapshot import Snapshot
from mootd.writer import Commit, Writer

LONG_MS = 600_000


class Running(NamedTuple):
    """A service and what it stands on."""

    service: Service
    member: Member
    writer: Writer[Unit]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    member = make_town(1)[0]
    places = Places(tmp_path, tmp_path / "config.toml", tmp_path / "state", tmp_path / "run")
    machine = Machine(places, member.clock, member.entropy, lambda: None)
    services: list[Service] = []

    def committed(commit: Commit) -> None:
        if commit.error is None:
            services[0].commits.happened()

    writer = Writer(member.replica.transaction, observer=committed, clock=member.clock)
    with ThreadPoolExecutor(2) as executor:
        services.append(Service(member.replica, writer, machine, executor))
        services[0].call(InitProject(actor="founder", prefix=PROJECT))
        yield Running(services[0], member, writer)
        writer.stop()


@pytest.fixture
def service(running: Running) -> Service:
    return running.service


def create(title: str) -> Create:
    return Create(actor="ada", project=PROJECT, fields=IssueFields(title=title))


def titles(service: Service) -> set[str]:
    return {issue["title"] for issue in service.call(ListIssues(limit=0)).issues}


async def ask(service: Service, request: Request[Any], key: str = "") -> Any:
    """A request that isn't quick, as the control server carries it out."""
    assert not QuickReads.take(request)
    return await service.handle_async(request, key, asyncio.get_running_loop().time() + PATIENCE_S)


# -- From the loop, and from threads -----------------------------------------------------------------------------
async def test_an_answer_is_the_same_from_a_thread_and_on_the_loop(service: Service) -> None:
    await ask(service, create("One"))
    assert await ask(service, Blocked()) == await asyncio.to_thread(service.call, Blocked())
    assert (await ask(service, Ping()))["pid"] == service.call(Ping())["pid"]


async def test_a_key_given_on_the_loop_holds_for_threads_too(service: Service) -> None:
    first = await ask(service, create("One"), "key")
    assert await asyncio.to_thread(service.call, create("One"), "key") == first
    with pytest.raises(MootError) as caught:
        await ask(service, create("Two"), "key")
    assert caught.value.code is Code.KEY_REUSED


async def test_a_script_that_fails_in_a_group_takes_nothing_of_the_others_with_it(service: Service) -> None:
    steps = (
        {"method": "create", "params": {"project": PROJECT, "fields": {"title": "Half"}}},
        {"method": "close", "params": {"id": "demo-nosuch"}},
    )
    requests: list[Request[Any]] = [create("Before"), Script(actor="ada", steps=steps), create("After")]
    answers = await asyncio.gather(*(ask(service, request) for request in requests), return_exceptions=True)
    assert [isinstance(answer, MootError) for answer in answers] == [False, True, False]
    assert await asyncio.to_thread(titles, service) == {"Before", "After"}


# -- Begun without a task ----------------------------------------------------------------------------------------
def begun(service: Service, request: Request[Any], key: str = "", deadline: float | None = None) -> Any:
    """What a request that was begun was answered with: a future, or None where it can't be begun so."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def answered(answer: Any, error: BaseException | None) -> None:
        future.set_result(answer) if error is None else future.set_exception(error)

    stop = service.begin(request, key, loop.time() + PATIENCE_S if deadline is None else deadline, answered)
    return None if stop is None else future


async def test_a_write_that_is_begun_is_answered_as_one_that_a_task_waits_for(service: Service) -> None:
    made = await begun(service, create("One"), "key")
    assert await ask(service, create("One"), "key") == made
    with pytest.raises(MootError) as caught:
        await begun(service, create("Two"), "key")
    assert caught.value.code is Code.KEY_REUSED
    assert await asyncio.to_thread(titles, service) == {"One"}


@pytest.mark.parametrize(
    "request_",
    [
        Blocked(),
        Import(actor="ada", project=PROJECT, lines=()),
        Join(actor="ada", ticket="none"),
        RemoveRemote(actor="ada", name="none"),
        InitTown(),
    ],
)
async def test_what_something_is_done_before_or_after_is_not_begun(service: Service, request_: Request[Any]) -> None:
    assert begun(service, request_) is None


async def test_a_write_begun_that_could_not_go_on_in_time_is_not_carried_out(running: Running) -> None:
    held: Future[None] = Future()
    running.writer.submit(lambda _: held.result(PATIENCE_S))
    late = begun(running.service, create("Late"), deadline=0.0)
    running.member.clock.advance(1)
    held.set_result(None)
    with pytest.raises(MootError) as caught:
        await late
    assert caught.value.code is Code.TIMEOUT
    assert await asyncio.to_thread(titles, running.service) == set()


async def test_a_write_that_could_not_begin_in_time_is_not_carried_out(running: Running) -> None:
    service = running.service
    held: Future[None] = Future()
    running.writer.submit(lambda _: held.result(PATIENCE_S))
    late = asyncio.gather(service.handle_async(create("Late"), "", 0.0))
    await asyncio.sleep(0)  # now it is in the queue
    running.member.clock.advance(1)
    held.set_result(None)
    with pytest.raises(MootError) as caught:
        await late
    assert caught.value.code is Code.TIMEOUT
    assert await asyncio.to_thread(titles, service) == set()


def test_many_who_found_at_once_found_one_town(tmp_path: Path) -> None:
    member = Member("first", 0)
    places = Places(tmp_path, tmp_path / "config.toml", tmp_path / "state", tmp_path / "run")
    writer = Writer(member.replica.transaction, clock=member.clock)
    with ThreadPoolExecutor(8) as pool:
        machine = Machine(places, member.clock, member.entropy, lambda: None)
        service = Service(member.replica, writer, machine, pool)
        held: Future[None] = Future()
        writer.submit(lambda _: held.result(PATIENCE_S))
        waiting = [pool.submit(service.call, InitTown()) for _ in range(8)]
        held.set_result(None)
        answers = [future.result(PATIENCE_S) for future in waiting]
    writer.stop()
    assert sum(answer["created"] for answer in answers) == 1
    assert len({answer["town"] for answer in answers}) == 1


# -- Waiting for news --------------------------------------------------------------------------------------------
def now(service: Service) -> int:
    place: int = service.call(Events(since=None))["next"]
    return place


def test_a_thread_that_waits_for_events_is_woken_by_the_next_write(service: Service) -> None:
    since = now(service)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.call, Events(since=since, wait_ms=LONG_MS))
        issue = service.call(create("News"))["id"]
        assert [event["id"] for event in waiting.result(PATIENCE_S)["events"]] == [issue]


async def test_on_the_loop_who_waits_for_events_is_woken_by_the_next_write(service: Service) -> None:
    since = now(service)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        waiting = [group.create_task(ask(service, Events(since=since, wait_ms=LONG_MS))) for _ in range(3)]
        issue = (await ask(service, create("News")))["id"]
    assert [[event["id"] for event in task.result()["events"]] for task in waiting] == [[issue]] * 3


async def test_who_waits_for_events_of_one_kind_sleeps_on_through_others(service: Service) -> None:
    since = now(service)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(ask(service, Events(since=since, wait_ms=LONG_MS, kind="issue")))
        await ask(service, InitProject(actor="ada", prefix="other"))
        issue = (await ask(service, create("News")))["id"]
    assert [event["id"] for event in waiting.result()["events"]] == [issue]


def test_events_that_are_there_already_are_answered_without_waiting(service: Service) -> None:
    assert service.call(Events(since=0, wait_ms=LONG_MS))["events"]


async def test_a_wait_that_nothing_ends_is_answered_with_no_events_and_where_to_go_on(running: Running) -> None:
    service, since = running.service, now(running.service)
    on_loop = await ask(service, Events(since=since, wait_ms=1))
    in_thread = asyncio.to_thread(service.call, Events(since=since, wait_ms=1))
    waiting = asyncio.gather(in_thread)
    while not waiting.done():  # its deadline is on the machine's clock
        running.member.clock.advance(1)
        await asyncio.sleep(0)
    for answer in (on_loop, *waiting.result()):
        assert (answer["events"], answer["next"]) == ([], since)


# -- Imports -----------------------------------------------------------------------------------------------------
def lines(*names: str) -> tuple[bytes, ...]:
    return tuple(json.dumps({"id": name, "title": name.upper()}).encode() for name in names)


def part(*names: str, **parts: Any) -> Import:
    return Import(actor="ada", project=PROJECT, lines=lines(*names), **parts)


def test_an_id_that_stood_in_an_earlier_part_of_the_same_import_is_reported(service: Service) -> None:
    first = service.call(part("demo-a", "demo-b", last=False))
    second = service.call(part("demo-b", "demo-c", first_line=3, session=first["session"]))
    assert second["session"] == first["session"]
    assert [(each["line"], each["id"]) for each in second["problems"]] == [(3, "demo-b")]
    assert (first["created"], second["created"]) == (2, 1)


def test_imports_do_not_know_of_one_another_and_are_forgotten_with_their_last_lines(service: Service) -> None:
    first = service.call(part("demo-a", last=False))
    other = service.call(part("demo-a", last=False))
    assert other["session"] != first["session"]
    assert (other["problems"], other["unchanged"]) == ([], 1)
    service.call(part("demo-b", first_line=2, session=first["session"]))
    assert service.call(part("demo-a", first_line=3, session=first["session"]))["problems"] == []
    assert list(service._imports) == [other["session"]]


def test_the_oldest_of_too_many_imports_under_way_is_forgotten(service: Service) -> None:
    sessions = [service.call(part("demo-a", last=False))["session"] for _ in range(IMPORT_SESSIONS + 1)]
    assert list(service._imports) == sessions[1:]


def test_the_same_part_sent_again_with_its_key_is_answered_alike(service: Service) -> None:
    first = service.call(part("demo-a", session="mine", last=False), "key")
    assert service.call(part("demo-a", session="mine", last=False), "key") == first
    assert first["created"] == 1


def test_an_import_tried_out_counts_and_leaves_nothing_and_its_key_stays_free(service: Service) -> None:
    assert service.call(part("demo-a", dry_run=True), "key")["created"] == 1
    assert titles(service) == set()
    assert service.call(part("demo-a"), "key")["created"] == 1


def test_after_the_writer_has_stopped_writes_are_refused_and_reads_answered(running: Running) -> None:
    issue = running.service.call(create("One"))["id"]
    running.writer.stop()
    with pytest.raises(MootError) as caught:
        running.service.call(Close(actor="ada", id=issue))
    assert caught.value.code is Code.CANCELLED
    assert titles(running.service) == {"One"}


def test_an_import_goes_to_the_plane_that_its_project_belongs_to() -> None:
    api = make_api()
    api.member.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "team", SeedSigner(seed("recovery")).public))
    api.call(InitProject(actor="ada", prefix="tm", plane="team"))
    for dry_run in (True, False):
        assert api.call(Import(actor="ada", project="tm", lines=lines("tm-a"), dry_run=dry_run))["created"] == 1
    found = {plane: api.call(ListIssues(filter=Filter(plane=plane))).issues for plane in ("ledger", "team")}
    assert (found["ledger"], [issue["id"] for issue in found["team"]]) == ([], ["tm-a"])


@pytest.mark.parametrize("way", [lambda *asked: asyncio.to_thread(Service.call, *asked), ask, begun])
async def test_a_name_of_who_acts_that_is_no_line_is_refused_whoever_sends_it(service: Service, way: Any) -> None:
    request = msgspec.structs.replace(create("One"), actor="a\nb\x1b[2J")
    with pytest.raises(RefusedError, match="control characters"):
        await way(service, request)
    assert titles(service) == set()


# -- Reads that nobody waits for ---------------------------------------------------------------------------------
def test_a_read_ends_where_its_terminal_says_that_the_client_has_gone(service: Service) -> None:
    service.call(create("One"))
    waiting = Waiting()
    assert len(service.call(ListIssues(limit=0), check=waiting.check).issues) == 1
    waiting.leave()
    with pytest.raises(RefusedError) as refused:
        service.call(ListIssues(limit=0), check=waiting.check)
    assert refused.value.code is Code.CANCELLED


async def test_a_read_ends_soon_after_its_deadline(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def read(snapshot: Snapshot, request: Blocked) -> None:
        begun.set()
        try:
            while True:
                snapshot.check()
                time.sleep(0.001)
        finally:
            ended.set()

    monkeypatch.setitem(cast("dict[Any, Any]", READS), Blocked, read)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ask(service, Blocked())
    assert begun.is_set()
    assert await asyncio.to_thread(ended.wait, PATIENCE_S)
