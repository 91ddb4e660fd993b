"""Requests that change the log: idempotency keys, dry runs, and scripts that are all or nothing."""

from typing import Any

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.limits import IDEMPOTENCY_KEY_BYTES, IDEMPOTENCY_TTL_MS
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import AddComment, Close, Create, IssueFields, ListIssues, Reopen, Script, Show
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out, once
from mootd.store.memory_store import CrashError, Faults
from mootd.store.port import Table


@pytest.fixture
def api() -> Api:
    return make_api()


def create(title: str, **parts: Any) -> Create:
    return Create(actor="ada", project=PROJECT, fields=IssueFields(title=title), **parts)


def titles(api: Api) -> list[str]:
    return [issue["title"] for issue in api.call(ListIssues(limit=0)).issues]


def tables(api: Api) -> dict[str, dict[bytes, bytes]]:
    """Everything in the store but the clock, which never goes back."""
    with api.member.store.read() as reader:
        kept = {table.name: dict(reader.scan(table, b"\0")) for table in Table}
    kept[Table.META.name].pop(layout.CLOCK, None)
    return kept


def keys_kept(api: Api) -> set[bytes]:
    with api.member.store.read() as reader:
        return {
            key for key, _ in reader.scan(Table.META, b"\0") if key.startswith((layout.ANSWERS, layout.ANSWER_TIMES))
        }


def refusal(api: Api, request: Request[Any], key: str = "") -> MootError:
    """The refusal of a request, which must leave nothing."""
    before = tables(api)
    with pytest.raises(MootError) as caught:
        api.call(request, key)
    assert tables(api) == before
    return caught.value


# -- Idempotency -------------------------------------------------------------------------------------------------
def test_the_same_request_with_the_same_key_is_carried_out_once_and_answered_alike(api: Api) -> None:
    first = api.call(create("One"), "key")
    before = tables(api)
    assert api.call(create("One"), "key") == first
    assert titles(api) == ["One"]
    assert tables(api) == before


def test_without_a_key_a_request_is_carried_out_every_time(api: Api) -> None:
    api.call(create("One"))
    api.call(create("One"))
    assert titles(api) == ["One", "One"]
    assert not keys_kept(api)


def test_a_key_with_another_request_is_refused(api: Api) -> None:
    issue = api.call(create("One"), "key")["id"]
    assert refusal(api, create("Two"), "key").code is Code.KEY_REUSED
    assert refusal(api, Close(actor="ada", id=issue), "key").code is Code.KEY_REUSED
    api.call(Close(actor="ada", id=issue), "other")
    assert refusal(api, Reopen(actor="ada", id=issue), "other").code is Code.KEY_REUSED


def test_what_was_refused_can_be_tried_again_with_its_key(api: Api) -> None:
    comment = AddComment(actor="ada", id="demo-later", text="At last.")
    assert refusal(api, comment, "key").code is Code.NOT_FOUND
    api.call(create("Later", id="demo-later"))
    assert api.call(comment, "key")["text"] == "At last."


def test_an_answer_outlives_a_restart(api: Api) -> None:
    first = api.call(create("One"), "key")
    api.member.restart()
    again = Api(api.member)
    assert again.call(create("One"), "key") == first
    assert titles(again) == ["One"]


@pytest.mark.parametrize("kept", [True, False])
def test_an_answer_is_kept_in_the_transaction_of_what_it_answers(api: Api, kept: bool) -> None:
    api.member.restart(Faults(crash_after_commit=1) if kept else Faults(crash_before_commit=1))
    with pytest.raises(CrashError):
        api.member.commit(lambda unit: once(unit, create("One"), "key", _created))
    api.member.restart()
    after = Api(api.member)
    assert bool(keys_kept(after)) is kept
    assert len(titles(after)) == kept


def _created(unit: Unit) -> Any:
    return carry_out(unit, create("One"))


def test_an_answer_is_forgotten_after_a_day_and_not_before(api: Api) -> None:
    api.call(create("One"), "old")
    api.clock.advance(IDEMPOTENCY_TTL_MS)
    api.call(create("Two"), "new")
    api.call(create("One"), "old")
    assert sorted(titles(api)) == ["One", "Two"]
    api.clock.advance(1)
    api.call(create("Three"), "newest")
    assert {key for key in keys_kept(api) if key.endswith(b"old")} == set()
    api.call(create("One"), "old")
    assert sorted(titles(api)) == ["One", "One", "Three", "Two"]


def test_an_idempotency_key_has_a_longest_length(api: Api) -> None:
    api.call(create("One"), "k" * IDEMPOTENCY_KEY_BYTES)
    assert refusal(api, create("Two"), "k" * (IDEMPOTENCY_KEY_BYTES + 1)).code is Code.LIMIT
    assert refusal(api, create("Two"), "ü" * (IDEMPOTENCY_KEY_BYTES // 2 + 1)).code is Code.LIMIT


# -- Dry runs ----------------------------------------------------------------------------------------------------
def test_a_dry_run_answers_as_if_done_and_leaves_nothing(api: Api) -> None:
    before = tables(api)
    tried = api.call(create("Tried", dry_run=True))
    assert tried["title"] == "Tried"
    assert tables(api) == before


def test_a_dry_run_keeps_no_answer_so_its_key_is_free_for_the_real_one(api: Api) -> None:
    before = tables(api)
    api.call(create("One", dry_run=True), "key")
    assert tables(api) == before
    assert api.call(create("One"), "key")["title"] == "One"


def test_a_dry_run_is_refused_as_the_real_one_would_be(api: Api) -> None:
    assert refusal(api, Close(actor="ada", id="demo-nosuch", dry_run=True)).code is Code.NOT_FOUND


# -- Scripts -----------------------------------------------------------------------------------------------------
def step(method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params}


STEPS = (
    step("create", project=PROJECT, fields={"title": "First"}),
    step("create", project=PROJECT, fields={"title": "Second"}),
    step("add_edge", id="$2", edge={"to": "$1"}),
)


def test_the_steps_of_a_script_see_what_earlier_ones_made(api: Api) -> None:
    first, second, edge = api.call(Script(actor="ada", steps=STEPS))
    assert (edge["issue_id"], edge["depends_on_id"]) == (second["id"], first["id"])
    assert api.call(Show(ids=(second["id"],)))[0]["_blocked"]


def test_a_script_of_which_one_step_is_refused_leaves_nothing(api: Api) -> None:
    failed = refusal(api, Script(actor="ada", steps=(*STEPS, step("close", id="demo-nosuch"))), "key")
    assert failed.code is Code.NOT_FOUND
    assert failed.message.startswith("step 4: ")


def test_a_script_tried_out_answers_every_step_and_leaves_nothing(api: Api) -> None:
    before = tables(api)
    assert len(api.call(Script(actor="ada", steps=STEPS, dry_run=True))) == 3
    assert tables(api) == before
