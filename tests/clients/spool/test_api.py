"""The console's `Api` over a spool: nothing is said to be done that the daemon hasn't answered."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim
from moot_protocol.requests.exchange import Invite
from moot_protocol.requests.issues import (
    Close,
    Create,
    InitTown,
    IssueFields,
    ListIssues,
    Script,
    Show,
    Update,
    WorkspaceInfo,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Doctor, Status
from moot_protocol.requests.memories import SetSetting
from moot_protocol.spool.files import COMMANDS
from moot_testkit.towns.spooling import WORKSPACE, SpoolSite, create
from moot_testkit.towns.town import PROJECT


@pytest.fixture
def site(tmp_path: Path) -> SpoolSite:
    site = SpoolSite(tmp_path)
    site.api.call(create("One", id="demo-one1"))
    site.write_snapshot()
    return site


def code_of(site: SpoolSite, request: Request[Any], wait_s: float | None = None) -> Code:
    with pytest.raises(MootError) as caught:
        site.client(wait_s).call(request)
    return caught.value.code


def test_a_write_is_queued_with_the_id_that_it_will_have(site: SpoolSite) -> None:
    client = site.client()
    made = client.call(create("Two"))
    (queued,) = client.queued
    assert queued.made == (made["id"],)
    assert made["_queued"] == queued.command
    assert site.titles() == ["One"]
    site.take()
    assert site.api.call(Show(ids=(made["id"],)))[0]["title"] == "Two"


def test_what_was_made_a_moment_ago_can_be_shown_and_changed_in_the_same_command(site: SpoolSite) -> None:
    client = site.client()
    made = client.call(create("Two"))["id"]
    assert client.call(Show(ids=(made,)))[0]["title"] == "Two"
    client.call(Close(actor="ada", id=made))
    site.take()
    assert site.api.call(Show(ids=(made,)))[0]["status"] == "closed"


def test_the_issues_of_a_script_have_their_ids_from_here(site: SpoolSite) -> None:
    step = {"method": "create", "params": {"project": PROJECT, "fields": {"title": "Two"}}}
    client = site.client()
    made = client.call(Script(actor="ada", steps=(step, step)))
    assert client.queued[0].made == tuple(issue["id"] for issue in made)
    site.take()
    assert site.titles() == ["One", "Two", "Two"]
    assert {issue["id"] for issue in site.api.call(ListIssues()).issues} >= {issue["id"] for issue in made}


def test_what_is_waited_for_is_the_daemons_own_answer(site: SpoolSite) -> None:
    client = site.client(wait_s=1)
    claimed = client.call(Update(actor="ada", id="demo-one1", claim=True))
    assert claimed["status"] == "in_progress"
    assert "_queued" not in claimed
    assert not client.queued
    assert code_of(site, Update(actor="bob", id="demo-one1", claim=True), wait_s=1) is Code.LOST_RACE


def test_what_is_not_answered_in_time_is_queued(site: SpoolSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpoolSite, "take", lambda self: False)
    client = site.client(wait_s=0)
    assert client.call(create("Two"))["_queued"]
    assert len(client.queued) == 1


CLAIM = Update(actor="ada", id="demo-one1", claim=True)


@pytest.mark.parametrize(
    "request_",
    [
        CLAIM,
        Script(actor="ada", steps=({"method": "update", "params": {"id": "demo-one1", "claim": True}},)),
        Heartbeat(actor="ada", id="demo-one1"),
        Unclaim(actor="ada", id="demo-one1", if_holder="bob"),
        Close(actor="ada", id="demo-one1", dry_run=True),
    ],
    ids=lambda request: type(request).__name__,
)
def test_whose_an_issue_is_nobody_is_told_who_was_not_answered_in_time(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch, request_: Request[Any]
) -> None:
    monkeypatch.setattr(SpoolSite, "take", lambda self: False)
    client = site.client(wait_s=0)
    with pytest.raises(RefusedError, match=r"hasn't answered in time; .* stays queued") as caught:
        client.call(request_)
    assert caught.value.code is Code.TIMEOUT
    assert len(site.waiting()) == 1
    assert not client.queued


def test_of_two_that_claim_one_issue_while_no_daemon_answers_neither_is_told_to_have_it(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as asleep:
        asleep.setattr(SpoolSite, "take", lambda self: False)
        for actor in ("ada", "bob"):
            assert code_of(site, msgspec.structs.replace(CLAIM, actor=actor), wait_s=0) is Code.TIMEOUT
    site.take()
    assert site.api.call(Show(ids=("demo-one1",)))[0]["assignee"] == "ada"


def test_a_claim_that_is_not_waited_for_is_queued(site: SpoolSite) -> None:
    client = site.client()
    assert client.call(CLAIM)["_queued"] == client.queued[0].command


@pytest.mark.parametrize(
    "request_",
    [
        InitTown(),
        SetSetting(actor="a", project=PROJECT, key="k"),
        Invite(actor="a", plane="ledger"),
        Script(actor="a", steps=({"method": "x"},)),
    ],
    ids=repr,
)
def test_what_does_not_go_through_a_spool_is_refused_here(site: SpoolSite, request_: Request[Any]) -> None:
    assert code_of(site, request_) is Code.DENIED
    assert not site.waiting()


def test_what_is_nested_too_deeply_to_be_sealed_is_refused(site: SpoolSite) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert code_of(site, create("Deep", metadata={"k": deep})) is Code.INVALID
    assert not site.waiting()


def test_an_id_that_surely_is_wrong_is_refused_at_once(site: SpoolSite) -> None:
    assert code_of(site, Close(actor="ada", id="demo-zzzz")) is Code.NOT_FOUND
    site.client().call(Close(actor="ada", id="demo-0123456789ab"))  # it may have been made a moment ago
    assert len(site.waiting()) == 1


def test_an_id_that_is_not_in_a_snapshot_older_than_the_last_command_may_be_right(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moot.spool.files.SETTLING_S", 0.02)
    monkeypatch.setattr("moot.spool.files.SpoolFiles._changed_ms", lambda self: site.api.clock.now_ms() + 1)
    site.client().call(Close(actor="ada", id="demo-zzzz"))
    assert len(site.waiting()) == 1


def test_what_was_answered_is_waited_for_where_the_same_command_reads_it(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_ms = [site.api.clock.now_ms()]
    monkeypatch.setattr("moot.spool.files.SpoolFiles._changed_ms", lambda self: changed_ms[0])

    def written_meanwhile(_: float) -> None:
        site.api.clock.advance(2)
        site.write_snapshot()

    monkeypatch.setattr("time.sleep", written_meanwhile)
    client = site.client(wait_s=1)
    assert client.call(ListIssues()).total == 1
    made = client.call(create("Two"))["id"]
    changed_ms[0] += 1
    assert client.call(Show(ids=(made,)))[0]["title"] == "Two"
    assert not client.is_behind


# -- Under a key -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wait_s", [None, 1])
def test_a_command_that_comes_again_under_its_key_is_not_done_again(site: SpoolSite, wait_s: float | None) -> None:
    made = []
    for _ in range(3):
        made.append(site.client(wait_s).call_keyed(create("Two"), "r#1")["id"])
        site.api.clock.advance(60_000)
        site.take()
    assert len(set(made)) == 1
    assert site.titles() == ["One", "Two"]
    assert (site.waiting(), site.reasons()) == ([], [])
    other = create("Two")
    for key, request in (("r#2", other), ("r#1", msgspec.structs.replace(other, actor="bob")), ("", other)):
        assert site.client(1).call_keyed(request, key)["id"] not in made
    assert site.titles() == ["One", "Two", "Two", "Two", "Two"]


def test_days_later_a_create_that_comes_again_is_refused_and_another_one_is_not(site: SpoolSite) -> None:
    site.client(1).call_keyed(create("Two"), "r#1")
    for _ in range(2):  # what is older is forgotten when something is kept
        site.api.clock.advance(30 * 3600 * 1000)
        site.client(1).call(create("Later"))
    with pytest.raises(RefusedError, match="already"):
        site.client(1).call_keyed(create("Two"), "r#1")
    site.api.clock.advance(1)
    assert site.client(1).call_keyed(create("Three"), "r#1")["title"] == "Three"


def test_all_issues_of_a_script_have_the_same_ids_when_it_comes_again(site: SpoolSite) -> None:
    step = {"method": "create", "params": {"project": PROJECT, "fields": {"title": "Two"}}}
    script = Script(actor="ada", steps=(step, step))
    made = [[issue["id"] for issue in site.client(1).call_keyed(script, "r#1")] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) == 2
    assert site.titles() == ["One", "Two", "Two"]


def test_a_key_that_came_with_another_command_is_refused(site: SpoolSite) -> None:
    name = site.client(1).call_keyed(create("Two"), "r#1")["id"]
    for wait_s in (None, 1):
        client = site.client(wait_s)
        if wait_s is None:
            assert client.call_keyed(create("Three"), "r#1")["id"] != name
            site.api.clock.advance(1)
            continue
        with pytest.raises(RefusedError) as caught:
            client.call_keyed(create("Three"), "r#1")
        assert caught.value.code is Code.KEY_REUSED
    site.take()
    assert site.titles() == ["One", "Two"]


def test_an_answer_that_nobody_fetched_is_not_taken_for_that_to_the_next_command(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("moot_testkit.towns.spooling.TakingFiles.wait", lambda self, command, seconds: None)
        site.client(1).call_keyed(create("Two"), "r#1")
    site.take()
    site.api.clock.advance(1)
    monkeypatch.setattr(SpoolSite, "take", lambda self: False)
    client = site.client(0)
    assert client.call_keyed(create("Three"), "r#1")["title"] == "Three"
    assert len(client.queued) == 1


def test_a_claim_of_what_is_ready_takes_one_issue_under_one_key(site: SpoolSite) -> None:
    site.api.call(create("Two"))
    taken = []
    for _ in range(2):
        taken.append(site.client(1).call_keyed(ClaimReady(actor="ada"), "r#1"))
        site.api.clock.advance(1)
    assert taken[0] == taken[1]
    assert taken[0] is not None


BESIDE_A_CLAIM = [IssueFields(), IssueFields(priority=0), IssueFields(status="in_progress", assignee="ada")]
CONTRADICTING = [IssueFields(assignee="bob"), IssueFields(assignee=""), IssueFields(status="closed")]


@pytest.mark.parametrize("fields", [*BESIDE_A_CLAIM, *CONTRADICTING], ids=repr)
def test_a_claim_that_contradicts_what_stands_beside_it_is_refused_here_as_the_daemon_refuses_it(
    site: SpoolSite, fields: IssueFields
) -> None:
    claim = Update(actor="ada", id="demo-one1", claim=True, fields=fields)
    step = {"method": "update", "params": {"id": "demo-one1", "claim": True, "fields": set_in(fields)}}
    asked: tuple[Request[Any], ...] = (claim, Script(actor="ada", steps=(step,)))
    refused = [refusal_of(partial(site.client().call, each)) for each in asked]
    assert refused[0] == refused[1] == refusal_of(partial(site.api.call, claim))
    assert (refused[0] is not None) == (fields in CONTRADICTING)
    assert bool(site.waiting()) == (refused[0] is None)


def set_in(fields: IssueFields) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(fields)
    return told


def refusal_of(act: Callable[[], object]) -> tuple[Code, str, str | None] | None:
    try:
        act()
    except MootError as error:
        return error.code, error.message, error.hint
    return None


def test_without_a_snapshot_writes_are_queued_all_the_same(tmp_path: Path) -> None:
    site = SpoolSite(tmp_path)
    site.client().call(Close(actor="ada", id="demo-zzzz"))
    assert len(site.waiting()) == 1
    assert code_of(site, ListIssues()) is Code.NOT_READY


def test_all_of_ones_claims_that_end_are_renewed_as_the_snapshot_tells_them(site: SpoolSite) -> None:
    for name in ("demo-held1", "demo-held2"):
        site.api.call(create("held", id=name))
        site.api.call(Update(actor="ada", id=name, claim=True, ttl_ms=60_000))
    site.api.call(create("for good", id="demo-six6"))
    site.api.call(Update(actor="ada", id="demo-six6", claim=True))
    site.write_snapshot()
    site.api.clock.advance(40_000)
    renewed = site.client(1).call_keyed(Heartbeat(actor="ada"), "r#1")
    assert {each["id"]: each["renewed"] for each in renewed} == {"demo-held1": True, "demo-held2": True}
    site.api.clock.advance(1)
    assert site.client(1).call_keyed(Heartbeat(actor="ada"), "r#1") == renewed, "each claim has a key of its own"
    client = site.client()
    assert [each["id"] for each in client.call(Heartbeat(actor="ada"))] == [each["id"] for each in renewed]
    assert len(client.queued) == 2


def test_claims_are_all_renewed_though_nobody_answers_and_that_is_told_once_they_are_queued(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("demo-held1", "demo-held2"):
        site.api.call(create("held", id=name))
        site.api.call(Update(actor="ada", id=name, claim=True, ttl_ms=60_000))
    site.write_snapshot()
    monkeypatch.setattr(SpoolSite, "take", lambda self: False)
    with pytest.raises(RefusedError, match="the renewal of demo-held") as caught:
        site.client(wait_s=0).call(Heartbeat(actor="ada"))
    assert (caught.value.code, len(site.waiting())) == (Code.TIMEOUT, 2)


def test_a_claim_that_another_took_is_told_once(site: SpoolSite) -> None:
    site.api.call(Update(actor="ada", id="demo-one1", claim=True))
    site.api.call(Update(actor="bob", id="demo-one1", fields=IssueFields(assignee="bob")))
    site.write_snapshot()

    def told(actor: str) -> object:
        client = site.client()
        known = client.call(WorkspaceInfo(workspace=WORKSPACE, actor=actor)) or {}
        assert not client.was_read
        return known.get("claims")

    lost = {"lost": [{"id": "demo-one1", "holder": "bob"}], "due": 0}
    assert (told("ada"), told("bob"), told("")) == (lost, None, None)
    client = site.client()
    client.call(ClaimsTold(actor="ada", ids=("demo-one1",)))
    assert (client.queued, len(site.waiting()), told("ada")) == ([], 1, None)
    site.take()
    site.write_snapshot()
    assert (site.waiting(), told("ada")) == ([], None)
    # Lost once more, it is told once more.
    site.api.call(Update(actor="ada", id="demo-one1", fields=IssueFields(assignee="ada")))
    site.api.call(Update(actor="ada", id="demo-one1", claim=True))
    site.api.call(Update(actor="bob", id="demo-one1", fields=IssueFields(assignee="bob")))
    site.write_snapshot()
    assert told("ada") == lost


def test_the_first_ready_issue_is_taken_where_the_answer_is_waited_for(site: SpoolSite) -> None:
    site.api.call(Create(actor="ada", project=PROJECT, id="demo-first1", fields=IssueFields(title="first", priority=0)))
    with pytest.raises(RefusedError, match="only the daemon knows"):
        site.client().call(ClaimReady(actor="ada"))
    taken = site.client(1).call(ClaimReady(actor="ada", filter=Filter(projects=("demo",)), ttl_ms=60_000))
    assert taken is not None
    assert (taken["id"], taken["assignee"]) == ("demo-first1", "ada")
    while site.client(1).call(ClaimReady(actor="ada")) is not None:
        pass
    assert site.client(1).call(ClaimReady(actor="bob")) is None, "nothing is left"
    with pytest.raises(RefusedError, match="other projects"):
        site.client(1).call(ClaimReady(actor="ada", filter=Filter(projects=("other",))))


def test_a_claim_of_what_is_ready_that_is_not_answered_in_time_is_told_to_wait_still(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpoolSite, "take", lambda self: False)
    with pytest.raises(RefusedError, match="the claim stays queued") as caught:
        site.client(wait_s=0).call(ClaimReady(actor="ada"))
    assert (caught.value.code, len(site.waiting())) == (Code.TIMEOUT, 1)


def test_a_dry_run_needs_the_daemons_answer(site: SpoolSite) -> None:
    request = Create(actor="ada", project=PROJECT, fields=IssueFields(title="x"), dry_run=True)
    assert code_of(site, request) is Code.USAGE
    assert site.client(wait_s=1).call(request)["title"] == "x"
    assert site.titles() == ["One"]


def test_reads_come_from_the_snapshot_with_its_age(site: SpoolSite) -> None:
    site.api.clock.advance(5000)
    client = site.client()
    assert [issue["title"] for issue in client.call(ListIssues()).issues] == ["One"]
    assert client.was_read
    assert client.age == "5 s"


def test_what_a_snapshot_does_not_hold_is_refused(site: SpoolSite) -> None:
    assert code_of(site, Status()) is Code.UNREACHABLE


def test_the_workspace_is_known_from_the_token(site: SpoolSite) -> None:
    known = site.client().call(WorkspaceInfo(workspace=WORKSPACE))
    assert known is not None
    assert known["project"] == PROJECT
    assert site.client().call(WorkspaceInfo(workspace="other")) is None


def test_doctor_tells_what_can_be_seen_from_inside(site: SpoolSite) -> None:
    checks = {check["check"]: check for check in site.client().call(Doctor())}
    assert not checks["the daemon can be asked"]["ok"]
    assert checks["the spool has room"]["ok"]
    assert checks["the snapshot is fresh"]["ok"]
    site.api.clock.advance(3600 * 1000)
    checks = {check["check"]: check for check in site.client().call(Doctor())}
    assert not checks["the snapshot is fresh"]["ok"]
    (site.path / "snapshot").unlink()
    checks = {check["check"]: check for check in site.client().call(Doctor())}
    assert not checks["there is a snapshot"]["ok"]


def test_doctor_fails_once_a_command_has_waited_for_longer_than_any_daemon_would_let_it(site: SpoolSite) -> None:
    def taken() -> tuple[bool, str]:
        check = next(check for check in site.client().call(Doctor()) if check["check"] == "commands are taken")
        return check["ok"], check["detail"]

    assert taken() == (True, "none waits")
    site.client().call(create("Two"))
    site.api.clock.advance(20_000)
    site.client().call(create("Three"))
    site.api.clock.advance(10_000)
    assert taken() == (True, "the oldest has waited for 30 s")
    site.api.clock.advance(1_000)
    assert taken() == (False, "the oldest has waited for 31 s")
    site.take()
    assert taken() == (True, "none waits")


def test_a_full_spool_refuses(site: SpoolSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot_protocol.spool.files.SPOOL_FILES", 1)
    site.client().call(create("Two"))
    with pytest.raises(RefusedError, match="full"):
        site.client().call(create("Three"))
    assert len(list((site.path / COMMANDS).iterdir())) == 1
