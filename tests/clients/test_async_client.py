"""The asynchronous client: the same verbs, awaited, on one connection."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from moot import AsyncClient, Client, Code
from moot_protocol.errors import RefusedError
from moot_protocol.requests.claims import Heartbeat
from moot_protocol.requests.issues import Close, Create, Show, Update
from moot_protocol.requests.machine import Events, Ping
from moot_testkit.clients.control import PATIENCE, Gate, raw_client, short_folder
from moot_testkit.clients.verb_cases import CASES, DOCUMENT, ISSUE, Town, losing_first, town


@pytest.fixture(autouse=True)
def actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOT_ACTOR", "ada")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path) as made:
        yield made


def client(here: Town) -> AsyncClient:
    return AsyncClient(here.folder, socket=here.daemon.path)


async def test_each_verb_asks_what_it_says_and_gives_a_typed_answer(here: Town) -> None:
    async with client(here) as moot:
        for case in CASES:
            here.answers(type(case.request), case.answer)
            assert await getattr(moot, case.verb)(*case.arguments, **case.named) == case.value, case.verb
            assert here.asked.pop() == case.request, case.verb


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = {name: each for name, each in vars(kind).items() if not name.startswith("_")}
        return {
            name: str(inspect.signature(each)).split(" -> ")[:1] for name, each in methods.items() if callable(each)
        }

    assert public(AsyncClient) == public(Client)


async def test_the_project_is_that_of_the_workspace(here: Town) -> None:
    async with client(here) as moot:
        assert (await moot.project(), moot.actor) == ("demo", "ada")


async def test_many_calls_are_under_way_at_once_on_one_connection(here: Town) -> None:
    gate = Gate(here.daemon)
    here.daemon.answers.slow[Show] = gate.answer
    async with client(here) as moot:
        async with asyncio.TaskGroup() as tasks:
            shown = [tasks.create_task(moot.show(f"demo-{n}")) for n in range(5)]
            await asyncio.to_thread(lambda: [gate.begun.acquire() for _ in range(5)])
            assert here.daemon.connections() == 1
            gate.open()
        assert [task.result().id for task in shown] == [f"demo-{n}" for n in range(5)]


async def test_a_write_whose_connection_is_lost_is_repeated_under_the_same_key(here: Town) -> None:
    losing_first(here, Create, DOCUMENT)
    async with client(here) as moot:
        assert await moot.create("One") == ISSUE
    first, second = here.asked
    assert first == second
    assert len(set(here.daemon.answers.keys[1:])) == 1


async def test_a_request_that_writes_without_a_key_is_not_repeated(here: Town) -> None:
    losing_first(here, Close, DOCUMENT)
    async with client(here) as moot:
        with pytest.raises(RefusedError) as caught:
            await moot.call(Close(actor="ada", id="demo-1"))
        assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, False)
        assert "may be done or not: look" in caught.value.hint
        assert await moot.call(Close(actor="ada", id="demo-1")) == DOCUMENT


async def test_what_meets_a_connection_that_was_closed_while_idle_is_done_on_another_key_or_not(here: Town) -> None:
    here.answers(Close, DOCUMENT)
    here.daemon.server.settings = here.daemon.server.settings._replace(clients=1, idle=0.0)
    async with client(here) as moot:
        assert await moot.call(Ping())
        with raw_client(here.daemon):
            assert await moot.call(Close(actor="ada", id="demo-1")) == DOCUMENT
    assert here.asked == [Close(actor="ada", id="demo-1")]


class Relay:
    """A socket before the daemon's. While `unread` lasts it closes connections unread, as one that is dying does."""

    def __init__(self, daemon: Path, tasks: asyncio.TaskGroup) -> None:
        self.unread = 0
        self._daemon = daemon
        self._tasks = tasks

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.unread:
            self.unread -= 1
            writer.transport.abort()
            return
        from_daemon, to_daemon = await asyncio.open_unix_connection(self._daemon)
        self._tasks.create_task(self._pass_on(reader, to_daemon))
        self._tasks.create_task(self._pass_on(from_daemon, writer))

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def relayed(here: Town) -> AsyncIterator[tuple[Relay, AsyncClient]]:
    """A client of the daemon behind a relay."""
    with short_folder() as folder:
        async with asyncio.TaskGroup() as tasks:
            relay = Relay(here.daemon.path, tasks)
            async with (
                await asyncio.start_unix_server(relay.serve, folder / "s"),
                AsyncClient(here.folder, socket=folder / "s", autostart=False) as moot,
            ):
                yield relay, moot


async def test_a_repeat_that_meets_a_daemon_that_is_dying_is_made_once_more_and_the_write_done_once(here: Town) -> None:
    losing_first(here, Create, DOCUMENT)
    async with relayed(here) as (relay, moot):
        await moot.project()
        relay.unread = 1
        assert await moot.create("One") == ISSUE
    first, second = here.asked
    assert first == second
    assert len(set(here.daemon.answers.keys[1:])) == 1


async def test_a_write_that_no_try_got_an_answer_to_is_not_called_retryable_but_to_be_looked_for(here: Town) -> None:
    losing_first(here, Create, DOCUMENT)
    async with relayed(here) as (relay, moot):
        await moot.project()
        relay.unread = 9
        with pytest.raises(RefusedError, match="is lost") as caught:
            await moot.create("One")
    assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, False)
    assert "may be done or not: look" in caught.value.hint


async def test_a_read_that_no_try_got_an_answer_to_may_be_asked_for_again(here: Town) -> None:
    losing_first(here, Show, [DOCUMENT])
    async with relayed(here) as (relay, moot):
        await moot.project()
        relay.unread = 9
        with pytest.raises(RefusedError, match="is lost") as caught:
            await moot.show("demo-1")
    assert (caught.value.retryable, caught.value.hint) == (True, "")


async def test_what_was_never_sent_is_sent_once_the_daemon_takes_it_even_without_a_key(here: Town) -> None:
    here.answers(Close, DOCUMENT)
    async with relayed(here) as (relay, moot):
        relay.unread = 2
        assert await moot.call(Close(actor="ada", id="demo-1")) == DOCUMENT
    assert len(here.asked) == 1


async def test_what_could_never_be_sent_is_not_in_doubt(here: Town) -> None:
    async with relayed(here) as (relay, moot):
        relay.unread = 9
        with pytest.raises(RefusedError, match="is lost") as caught:
            await moot.call(Close(actor="ada", id="demo-1"), key="k")
    assert (caught.value.retryable, caught.value.hint) == (True, "")
    assert here.asked == []


async def test_without_a_daemon_the_first_call_says_so() -> None:
    with short_folder() as folder:
        async with AsyncClient(socket=folder / "s", autostart=False) as moot:
            with pytest.raises(RefusedError) as caught:
                await moot.call(Ping())
    assert caught.value.code is Code.UNREACHABLE


async def test_a_client_that_is_disconnected_is_of_no_further_use(here: Town) -> None:
    moot = client(here)
    await moot.call(Ping())
    await moot.disconnect()
    with pytest.raises(RefusedError, match="closed"):
        await moot.call(Ping())


def test_a_client_of_another_event_loop_is_refused_in_words(here: Town) -> None:
    moot = client(here)
    here.answers(Show, [DOCUMENT])

    async def ask() -> None:
        await moot.show("demo-1")

    async def end() -> None:
        await ask()
        await moot.disconnect()

    asyncio.run(end())
    with pytest.raises(RefusedError, match="another event loop's"):
        asyncio.run(ask())


async def test_events_begin_where_they_were_asked_for_and_miss_none(here: Town) -> None:
    count = 2

    def log(request: Events) -> dict[str, object]:
        since = count if request.since is None else request.since
        found = [{"arrival": n, "kind": "issue", "entity": "demo-1"} for n in range(since + 1, count + 1)]
        return {"events": found, "next": count, "first": 1}

    here.answers(Events, log)
    async with client(here) as moot:
        events = await moot.events()
        count = 4
        assert [(await anext(events)).arrival, (await anext(events)).arrival] == [3, 4]
        assert [each.arrival async for each in await moot.events(since=0, wait=False)] == [1, 2, 3, 4]


# -- Claims that are kept ----------------------------------------------------------------------------------------
async def test_a_claim_is_renewed_while_the_block_runs_and_its_loss_is_told(here: Town) -> None:
    answers = iter([[{"renewed": True}], [{"renewed": False}]])

    def beat(_: Heartbeat) -> list[dict[str, bool]]:
        for answer in answers:
            return answer
        raise RefusedError("it is bob's", code=Code.LOST_RACE)

    here.answers(Update, DOCUMENT)
    here.answers(Heartbeat, beat)
    async with asyncio.timeout(PATIENCE), client(here) as moot, moot.hold("demo-1", ttl_s=0.01) as held:
        (renewing,) = [task for task in asyncio.all_tasks() if task.get_name() == "claim of demo-1"]
        await asyncio.wait([renewing])
    assert here.asked == [
        Update(actor="ada", id="demo-1", claim=True, ttl_ms=10),
        *[Heartbeat(actor="ada", id="demo-1")] * 3,
    ]
    assert held.ended
    assert held.ended.code is Code.LOST_RACE


async def test_the_end_of_the_block_ends_the_heartbeat_and_passes_on_what_it_raised(here: Town) -> None:
    here.answers(Update, DOCUMENT)
    async with client(here) as moot:
        with pytest.raises(ZeroDivisionError):
            async with moot.hold("demo-1", ttl_s=3600):
                raise ZeroDivisionError
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "claim of demo-1"]


@pytest.mark.parametrize("key", ["", "mine"])
async def test_a_write_that_took_too_long_is_called_retryable_only_under_a_key_that_the_caller_knows(
    here: Town, key: str
) -> None:
    def late(_: Close) -> None:
        raise RefusedError("`close` took longer than its deadline", code=Code.TIMEOUT, retryable=True)

    here.answers(Close, late)
    async with client(here) as moot:
        with pytest.raises(RefusedError) as caught:
            await moot.close("demo-1", key=key)
    assert (caught.value.code, caught.value.retryable) == (Code.TIMEOUT, bool(key))
    assert ("with the same key" if key else "may be done or not: look") in caught.value.hint
    assert len(here.asked) == 1
