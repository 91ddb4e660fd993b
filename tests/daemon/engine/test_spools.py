"""The rows of spools, and the memory of what became of their commands."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import SPOOL_ENTRY_MS
from moot_protocol.requests.exchange import CreatePlane
from moot_protocol.requests.issues import Close, Create, InitProject
from moot_protocol.spool.files import Opened
from moot_protocol.time_units import DAY_MS
from moot_testkit.towns.spooling import WORKSPACE, create
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.spools import (
    apply_once,
    close_spool,
    move_spool,
    open_spool,
    open_spools,
    secret_of,
    spool_of,
    was_applied,
)
from mootd.engine.unit import Unit

FOLDER = "/home/ada/work"


@pytest.fixture
def api() -> Api:
    api = make_api()
    api.call(InitProject(actor="ada", prefix=PROJECT, workspace=WORKSPACE, folder=FOLDER))
    api.member.commit(lambda unit: open_spool(unit, WORKSPACE, FOLDER))
    return api


def command(api: Api, number: int = 1) -> Opened:
    return Opened(bytes([number]) * 16, api.clock.now_ms(), create("x"), True)


def apply(api: Api, opened: Opened, calls: list[str], error: RefusedError | None = None) -> Any:
    def carry_out(unit: Unit) -> str:
        del unit
        calls.append("done")
        if error is not None:
            raise error
        return "first"

    def work(unit: Unit) -> Any:
        row = spool_of(unit.transaction, WORKSPACE)
        assert row is not None
        return apply_once(unit, row, opened, carry_out, lambda _: "again")

    return api.member.commit(work)


# -- Rows --------------------------------------------------------------------------------------------------------
def test_opening_again_keeps_the_token_and_opening_anew_makes_another(api: Api) -> None:
    keys = api.member.replica.keys
    first, created = api.member.commit(lambda unit: open_spool(unit, WORKSPACE, FOLDER))
    assert not created
    with api.member.replica.read() as reader:
        assert [row.project for row in open_spools(reader)] == [PROJECT]
    closed = api.member.commit(lambda unit: close_spool(unit, WORKSPACE))
    assert closed == first
    assert api.member.commit(lambda unit: close_spool(unit, WORKSPACE)) is None
    with api.member.replica.read() as reader:
        assert not list(open_spools(reader))
    second, created = api.member.commit(lambda unit: open_spool(unit, WORKSPACE, FOLDER))
    assert created
    assert secret_of(keys, first) != secret_of(keys, second)


def test_a_spool_that_is_moved_keeps_its_token_and_one_that_has_changed_meanwhile_stays(api: Api) -> None:
    row, _ = api.member.commit(lambda unit: open_spool(unit, WORKSPACE, FOLDER))
    assert api.member.commit(lambda unit: move_spool(unit, row, "/home/ada/moved"))
    with api.member.replica.read() as reader:
        moved = spool_of(reader, WORKSPACE)
    assert moved == row._replace(folder="/home/ada/moved")
    assert secret_of(api.member.replica.keys, row) == secret_of(api.member.replica.keys, moved)
    assert not api.member.commit(lambda unit: move_spool(unit, row, "/elsewhere"))


def test_a_workspace_that_is_not_known_gets_none(api: Api) -> None:
    with pytest.raises(RefusedError) as caught:
        api.member.commit(lambda unit: open_spool(unit, "unknown", FOLDER))
    assert caught.value.code is Code.NOT_FOUND


# -- Once --------------------------------------------------------------------------------------------------------
def test_a_command_is_carried_out_once(api: Api) -> None:
    calls: list[str] = []
    opened = command(api)
    assert [apply(api, opened, calls) for _ in range(3)] == ["first", "again", "again"]
    assert calls == ["done"]
    with api.member.replica.read() as reader:
        assert was_applied(reader, opened.ms, opened.id)
        assert not was_applied(reader, opened.ms, bytes(16))


def test_a_refusal_is_kept_like_a_success(api: Api) -> None:
    calls: list[str] = []
    refusal = RefusedError("it is held", code=Code.LOST_RACE, hint="take another")
    first = apply(api, command(api), calls, refusal)
    second = apply(api, command(api), calls)
    assert first is refusal
    assert isinstance(second, RefusedError)
    assert (second.code, second.message, second.hint) == (Code.LOST_RACE, "it is held", "take another")
    assert calls == ["done"]


@pytest.mark.parametrize(
    "error", [RefusedError("busy", code=Code.BUSY, retryable=True), RefusedError("full", code=Code.STORE_FULL)]
)
def test_what_may_go_otherwise_later_is_not_kept(api: Api, error: RefusedError) -> None:
    calls: list[str] = []
    with pytest.raises(RefusedError, match=error.message):
        apply(api, command(api), calls, error)
    assert apply(api, command(api), calls) == "first"


def test_ids_are_forgotten_only_when_their_commands_count_no_more(api: Api) -> None:
    calls: list[str] = []
    old = command(api)
    apply(api, old, calls)
    api.clock.advance(SPOOL_ENTRY_MS + DAY_MS)
    apply(api, command(api, 2), calls)
    assert apply(api, old, calls) == "again"
    api.clock.advance(1)
    apply(api, command(api, 3), calls)
    # Forgotten, and still it doesn't count: not even if the machine's clock goes back.
    with api.member.replica.read() as reader:
        assert not was_applied(reader, old.ms, old.id)
    assert isinstance(apply(api, old, calls), RefusedError)
    assert len(calls) == 3


def test_a_project_of_the_same_name_on_another_plane_is_another(api: Api) -> None:
    calls: list[str] = []
    api.call(CreatePlane(actor="ada", name="shared", kind="federation"))
    plane = api.member.replica.plane_named("shared")

    def elsewhere(unit: Unit) -> None:
        issue = IssueEditor(unit, plane.number, f"{PROJECT}-theirs", "bob")
        issue.set("project", PROJECT)
        issue.set("title", "theirs")
        issue.save()

    api.member.commit(elsewhere)
    fields = create("x").fields
    for number, request in enumerate((
        Close(actor="ada", id=f"{PROJECT}-theirs"),
        Create(actor="ada", project=PROJECT, plane=plane.id.hex(), fields=fields),
    )):  # fmt: skip
        refused = apply(api, command(api, number)._replace(request=request), calls)
        assert isinstance(refused, RefusedError)
        assert refused.code is Code.DENIED
    here = Create(actor="ada", project=PROJECT, plane=api.member.replica.ledger.id.hex(), fields=fields)
    assert apply(api, command(api, 9)._replace(request=here), calls) == "first"


def test_a_command_of_another_project_is_refused_before_it_is_carried_out(api: Api) -> None:
    calls: list[str] = []
    api.call(InitProject(actor="ada", prefix="other"))
    api.call(create("theirs", id="demo-theirs").__class__(
        actor="ada", project="other", id="other-abcdef", fields=create("theirs").fields
    ))  # fmt: skip
    foreign = Opened(bytes(16), api.clock.now_ms(), Close(actor="ada", id="other-abcdef"), True)
    refused = apply(api, foreign, calls)
    assert isinstance(refused, RefusedError)
    assert refused.code is Code.DENIED
    assert not calls
