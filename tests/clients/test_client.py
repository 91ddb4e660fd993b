"""The blocking client against a control socket that really listens."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moot import Client, Code, Event, Issue, MootError, rpc
from moot_protocol.errors import RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import Heartbeat
from moot_protocol.requests.issues import Close, Create, Show, Update
from moot_protocol.requests.machine import Events, Ping, Stop
from moot_testkit.clients.control import Daemon, raw_client, short_folder, until
from moot_testkit.clients.gates import GOOD, USER, StubGate
from moot_testkit.clients.verb_cases import CASES, DOCUMENT, ISSUE, Case, Town, losing_first, town


@pytest.fixture(autouse=True)
def actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOT_ACTOR", "ada")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path) as made:
        yield made


def client(here: Town) -> Client:
    return Client(here.folder, socket=here.daemon.path)


def test_each_verb_asks_what_it_says_and_gives_a_typed_answer(here: Town) -> None:
    with client(here) as moot:
        for case in CASES:
            here.answers(type(case.request), case.answer)
            assert getattr(moot, case.verb)(*case.arguments, **case.named) == case.value, case.verb
            assert here.asked.pop() == case.request, case.verb


def test_every_verb_is_in_the_table() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public - {case.verb for case in CASES} == {
        "actor", "call", "disconnect", "events", "hold", "project", "token_user"
    }  # fmt: skip


def test_the_project_is_that_of_the_workspace_found_upward_and_can_be_named(here: Town) -> None:
    with client(here) as moot:
        assert (moot.project(), moot.actor) == ("demo", "ada")
    with Client(here.folder, socket=here.daemon.path, project="other", actor="bob") as moot:
        assert (moot.project(), moot.actor) == ("other", "bob")


def test_outside_a_workspace_an_issue_cannot_be_created_and_lists_are_of_all(here: Town, tmp_path: Path) -> None:
    with Client(tmp_path.parent, socket=here.daemon.path) as moot:
        with pytest.raises(RefusedError, match="no project here") as caught:
            moot.create("One")
        case = next(case for case in CASES if case.verb == "ready")
        here.answers(type(case.request), case.answer)
        moot.ready()
    assert caught.value.code is Code.NOT_FOUND
    assert here.asked == [type(case.request)()]


def test_an_argument_that_a_verb_does_not_take_is_refused_in_words(here: Town) -> None:
    with client(here) as moot, pytest.raises(RefusedError, match="update takes no colour") as caught:
        moot.update("demo-1", colour="red")  # type: ignore[call-arg]
    assert caught.value.code is Code.USAGE
    assert "title" in caught.value.hint


def test_an_error_of_the_daemon_keeps_code_hint_and_whether_to_try_again(here: Town) -> None:
    def fail(_: Show) -> None:
        raise RefusedError("busy", code=Code.BUSY, hint="wait", retryable=True)

    here.answers(Show, fail)
    with client(here) as moot, pytest.raises(MootError) as caught:
        moot.show("demo-1")
    error = caught.value
    assert (error.code, error.message, error.hint, error.retryable) == (Code.BUSY, "busy", "wait", True)


# -- Keys, deadlines, lost connections ---------------------------------------------------------------------------
def test_each_write_has_a_key_of_its_own_unless_one_is_given(here: Town) -> None:
    here.answers(Close, DOCUMENT)
    with client(here) as moot:
        for _ in range(2):
            moot.close("demo-1")
        moot.close("demo-1", key="mine")
    first, second, third = here.daemon.answers.keys
    assert third == "mine"
    assert first
    assert second
    assert first != second


def test_a_write_whose_connection_is_lost_is_repeated_under_the_same_key(here: Town) -> None:
    losing_first(here, Create, DOCUMENT)
    with client(here) as moot:
        assert moot.create("One") == ISSUE
    first, second = here.asked
    assert first == second
    assert len(set(here.daemon.answers.keys[1:])) == 1, "a workspace's answer, then both tries"


def test_a_child_process_has_a_connection_of_its_own(here: Town) -> None:
    here.answers(Close, DOCUMENT)
    with client(here) as moot:
        moot.close("demo-1")
        # What a fork leaves in the child: the parent's connection, and a lock that some other thread had.
        moot._process, parents = -1, moot._connection
        moot._connecting.acquire()
        moot.close("demo-1")
        assert parents is not None
        assert not parents.is_open
        assert moot._connection is not parents


def test_a_request_that_writes_without_a_key_is_not_repeated(here: Town) -> None:
    losing_first(here, Close, DOCUMENT)
    with client(here) as moot:
        with pytest.raises(RefusedError) as caught:
            moot.call(Close(actor="ada", id="demo-1"))
        assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, False)
        assert "may be done or not: look" in caught.value.hint
        assert moot.call(Close(actor="ada", id="demo-1")) == DOCUMENT, "and the next call connects again"
    assert len(here.asked) == 2


@pytest.mark.parametrize("request_", [Close(actor="ada", id="demo-1"), Stop()])
def test_what_meets_a_connection_that_was_closed_while_idle_is_done_on_another_key_or_not(
    here: Town, request_: Request[Any]
) -> None:
    here.answers(type(request_), DOCUMENT)
    here.daemon.server.settings = here.daemon.server.settings._replace(clients=1, idle=0.0)
    with client(here) as moot:
        assert moot.call(Ping())
        with raw_client(here.daemon):
            assert moot.call(request_) == DOCUMENT
    assert here.asked == [request_]


def test_a_request_that_stops_the_daemon_is_not_repeated(here: Town) -> None:
    losing_first(here, Stop, {})
    with client(here) as moot, pytest.raises(RefusedError):
        moot.call(Stop())
    assert len(here.asked) == 1


def test_a_daemon_that_was_restarted_is_found_again() -> None:
    with short_folder() as folder, Client(socket=folder / "s", autostart=False) as moot:
        for _ in range(2):
            daemon = Daemon(folder / "s")
            daemon.start()
            assert moot.call(Ping())
            daemon.stop()


def test_without_a_daemon_and_not_told_to_start_one_the_first_call_says_so() -> None:
    with (
        short_folder() as folder,
        Client(socket=folder / "s", autostart=False) as moot,
        pytest.raises(RefusedError) as caught,
    ):
        moot.call(Ping())
    assert caught.value.code is Code.UNREACHABLE


def test_where_the_environment_forbids_it_no_daemon_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOOT_NO_AUTOSTART", "1")
    with short_folder() as folder, Client(socket=folder / "s") as moot, pytest.raises(RefusedError) as caught:
        moot.call(Ping())
    assert (caught.value.code, caught.value.hint) == (Code.UNREACHABLE, "start it: moot daemon start")


def test_a_call_may_take_as_long_as_the_client_or_the_call_says(here: Town) -> None:
    async def show(_: Show) -> list[object]:
        return [DOCUMENT]

    here.daemon.answers.slow[Show] = show
    with Client(here.folder, socket=here.daemon.path, timeout=50) as moot:
        moot.show("demo-1")
        moot.call(Show(ids=("demo-1",)), timeout=500)
    assert [round(seconds, -1) for seconds in here.daemon.answers.deadlines] == [50, 500]


def test_a_client_that_is_disconnected_is_of_no_further_use(here: Town) -> None:
    moot = client(here)
    moot.call(Ping())
    moot.disconnect()
    with pytest.raises(RefusedError, match="closed"):
        moot.call(Ping())


# -- Claims that are kept ----------------------------------------------------------------------------------------
def test_a_claim_is_renewed_while_the_block_runs_and_its_loss_is_told(here: Town) -> None:
    claimed, renewed = threading.Event(), threading.Event()

    def beat(request: Heartbeat) -> list[dict[str, object]]:
        assert request == Heartbeat(actor="ada", id="demo-1")
        if claimed.is_set():
            renewed.set()
            raise RefusedError("it is bob's", code=Code.LOST_RACE)
        claimed.set()
        return [{"renewed": True}]

    here.answers(Update, DOCUMENT)
    here.answers(Heartbeat, beat)
    with client(here) as moot, moot.hold("demo-1", ttl_s=0.01) as held:
        assert held.issue == ISSUE
        until(lambda: held.ended is not None)
        assert renewed.is_set()
        with pytest.raises(RefusedError, match="bob's"):
            held.check()
    assert here.asked[0] == Update(actor="ada", id="demo-1", claim=True, ttl_ms=10)


def test_the_end_of_the_block_ends_the_heartbeat_and_passes_on_what_it_raised(here: Town) -> None:
    here.answers(Update, DOCUMENT)
    with client(here) as moot, pytest.raises(ZeroDivisionError), moot.hold("demo-1", ttl_s=3600):
        raise ZeroDivisionError
    assert not [thread for thread in threading.enumerate() if thread.name == "claim of demo-1"]


# -- Events ------------------------------------------------------------------------------------------------------
def event(arrival: int) -> dict[str, object]:
    return {"arrival": arrival, "kind": "issue", "entity": "demo-1", "actor": "ada", "changes": [{"field": "title"}]}


def log_of(count: int) -> object:
    """Answers to `events` as a log of so many gives them, two at a time."""

    def answer(request: Events) -> dict[str, object]:
        since = count if request.since is None else request.since
        found = [event(n) for n in range(since + 1, min(since + 2, count) + 1)]
        return {"events": found, "next": since + len(found), "first": 1}

    return answer


def test_events_are_all_of_the_log_in_order_and_end_with_it_where_nobody_waits(here: Town) -> None:
    here.answers(Events, log_of(5))
    with client(here) as moot:
        events = list(moot.events(since=0, kind="issue", wait=False))
    assert [each.arrival for each in events] == [1, 2, 3, 4, 5]
    assert isinstance(events[0], Event)
    assert events[0].changes[0].field == "title"
    assert all(isinstance(request, Events) and request.kind == "issue" for request in here.asked)


def test_events_begin_where_they_were_asked_for_and_not_where_they_are_first_looked_at(here: Town) -> None:
    here.answers(Events, log_of(2))
    with client(here) as moot:
        events = moot.events()
        here.answers(Events, log_of(4))
        assert [next(events).arrival, next(events).arrival] == [3, 4]


def test_events_go_on_after_a_lost_connection(here: Town) -> None:
    losing_first(here, Events, {"events": [event(8)], "next": 8, "first": 1})
    with client(here) as moot:
        assert next(moot.events(since=7)).arrival == 8


def test_what_a_verb_gives_is_typed_for_whoever_reads_on(here: Town) -> None:
    case = Case("show", (), {}, Show(ids=("demo-1",)), [{"id": "demo-1", "dependents": [{"id": "demo-3"}]}], None)
    here.answers(Show, case.answer)
    with client(here) as moot:
        shown: Issue = moot.show("demo-1")
    assert shown.dependents == (Issue(id="demo-3"),)


def test_a_token_binds_every_connection_of_a_client(here: Town) -> None:
    here.daemon.server.gate = gate = StubGate(binding=False)
    answered: dict[type[Request[Any]], Any] = {
        Update: DOCUMENT, Heartbeat: [], Events: {"events": [], "next": 0}
    }  # fmt: skip

    async def answer(request: Request[Any]) -> Any:
        return answered[type(request)]

    here.daemon.answers.slow |= dict.fromkeys(answered, answer)
    with Client(here.folder, socket=here.daemon.path, token=GOOD) as moot:
        assert moot.token_user() == USER
        with moot.hold("demo-1", ttl_s=3600):
            next(moot.events(since=0, wait=False), None)
    assert {(asker.token, method) for asker, method in gate.asked} >= {(GOOD, "update"), (GOOD, "events")}
    assert {asker.token for asker, _ in gate.asked} == {GOOD}
    with client(here) as moot:
        moot.call(Ping())
        assert moot.token_user() == ""


def test_a_write_whose_connection_is_lost_and_cannot_be_had_again_may_be_done(
    here: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise RefusedError("no daemon answers", code=Code.UNREACHABLE, retryable=True)

    losing_first(here, Create, DOCUMENT)
    with client(here) as moot:
        moot.project()
        monkeypatch.setattr(rpc, "Client", gone)
        with pytest.raises(RefusedError) as caught:
            moot.create("One")
    assert (caught.value.code, caught.value.retryable) == (Code.UNREACHABLE, False)
    assert "may be done or not" in caught.value.hint


@pytest.mark.parametrize("key", ["", "mine"])
def test_a_write_that_took_too_long_is_called_retryable_only_under_a_key_that_the_caller_knows(
    here: Town, key: str
) -> None:
    def late(_: Close) -> None:
        raise RefusedError("`close` took longer than its deadline", code=Code.TIMEOUT, retryable=True)

    here.answers(Close, late)
    with client(here) as moot, pytest.raises(RefusedError) as caught:
        moot.close("demo-1", key=key)
    assert (caught.value.code, caught.value.retryable) == (Code.TIMEOUT, bool(key))
    assert ("with the same key" if key else "may be done or not: look") in caught.value.hint
    assert len(here.asked) == 1
