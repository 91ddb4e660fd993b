"""What a check or a rebuild found damaged stands as an alarm until a later check of the whole finds nothing."""

from collections.abc import Callable
from functools import reduce
from typing import Any, NoReturn

import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.issues import Create, IssueFields
from moot_protocol.requests.machine import Doctor, Fsck, Rebuild, Status
from moot_protocol.times import format_ms
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine.checking import fsck
from mootd.engine.stored import layout
from mootd.store.port import Table

SOUND = "nothing is known to be damaged"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A store that is checked in many stretches."""
    monkeypatch.setattr(fsck, "STRETCH", 2)
    api = make_api()
    for number in range(8):
        api.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title=str(number))))
    return api


def alarms(api: Api) -> list[str]:
    """What `status` says of damage."""
    return [alarm["message"] for alarm in api.call(Status())["alarms"] if alarm["code"] == "damaged"]


def soundness(api: Api) -> dict[str, Any]:
    """What `doctor` says of damage."""
    (check,) = (check for check in api.call(Doctor()) if check["check"] == SOUND)
    return check


def run(api: Api, cursor: str = "", *, stretches: int = 1000) -> dict[str, Any]:
    """Go on with a check for some stretches, or to its end: the last answer."""
    while True:
        answer = api.call(Fsck(cursor=cursor))
        stretches -= 1
        if answer["done"] or not stretches:
            return answer
        cursor = answer["cursor"]


def last_row(api: Api, table: Table) -> tuple[bytes, bytes]:
    """The last row of a table."""
    with api.member.store.read() as reader:
        return next(reader.scan(table, b"\0", reverse=True))


def put(api: Api, table: Table, row: tuple[bytes, bytes]) -> None:
    """Write a row behind the engine's back."""
    with api.member.store.write() as writer:
        writer.put(table, *row)


def damage(api: Api, table: Table = Table.EVENTS) -> tuple[bytes, bytes]:
    """Cut off most of the last row of a table; answers what it was."""
    key, value = last_row(api, table)
    put(api, table, (key, value[:5]))
    return key, value


def refuse_to_rebuild(api: Api) -> None:
    """Rebuild on a damaged log."""
    with pytest.raises(MootError) as caught:
        api.call(Rebuild())
    assert caught.value.code is Code.STORE_DAMAGED


def restarted(api: Api) -> Api:
    """The daemon, started anew."""
    api.member.restart()
    return Api(api.member)


def rebuild_all(api: Api) -> None:
    """Rebuild to the end."""
    answer = api.call(Rebuild())
    while not answer["done"]:
        answer = api.call(Rebuild(cursor=answer["cursor"]))


def refuse(*_: object, **__: object) -> NoReturn:
    """A store that takes no write."""
    raise RefusedError("the disk is full", code=Code.STORE_FULL)


# -- What sets it ------------------------------------------------------------------------------------------------
def test_of_a_sound_store_nothing_is_said_before_a_check_and_after(api: Api) -> None:
    for _ in range(2):
        assert alarms(api) == []
        assert soundness(api) == {"check": SOUND, "ok": True, "detail": "", "hint": ""}
        run(api)


def test_a_check_that_found_problems_is_told_of_with_when_how_many_and_the_first(api: Api) -> None:
    damage(api)
    first, cursor, problems = "", "", 0
    while True:
        answer = api.call(Fsck(cursor=cursor))
        problems, cursor = problems + len(answer["problems"]), answer["cursor"]
        if answer["problems"] and not first:
            first = f"{answer['problems'][0]['where']}: {answer['problems'][0]['problem']}"
        if answer["done"]:
            break
    when = format_ms(api.clock.now_ms())
    api.clock.advance(60_000)
    told = f"`moot fsck` found {problems} problems in the store at {when}, the first: {first}"
    assert problems > 1
    assert alarms(api) == [told]
    assert (soundness(api)["ok"], soundness(api)["detail"]) == (False, told)
    assert soundness(api)["hint"]


def test_a_single_problem_is_told_as_one(api: Api) -> None:
    view = layout.Views(api.member.replica.generation).index
    key, value = last_row(api, view)
    put(api, view, (key + b"\1", value))
    run(api)
    assert "found 1 problem in" in alarms(api)[0]


def test_a_check_that_nobody_went_on_with_tells_of_what_it_found_as_at_least(api: Api) -> None:
    damage(api)
    answer = api.call(Fsck())
    while not answer["problems"]:
        answer = api.call(Fsck(cursor=answer["cursor"]))
    assert not answer["done"]
    assert "found at least 1 problem in" in alarms(api)[0]


def test_a_check_that_fails_on_the_damage_is_told_of_too(api: Api) -> None:
    damage(api, Table.BATCHES)
    with pytest.raises(MootError):
        run(api)
    assert alarms(api)[0].endswith("the log is damaged: a batch can't be read")


def test_a_rebuild_that_fails_on_a_damaged_log_is_told_of(api: Api) -> None:
    damage(api)
    refuse_to_rebuild(api)
    assert alarms(api)[0].startswith("`moot rebuild` found at least 1 problem in the store at ")
    assert not soundness(api)["ok"]


def test_a_rebuild_that_is_refused_for_its_cursor_is_no_damage(api: Api) -> None:
    with pytest.raises(MootError):
        api.call(Rebuild(cursor="7"))
    assert alarms(api) == []


@pytest.mark.parametrize("find", [run, refuse_to_rebuild])
def test_after_a_restart_it_is_told_just_so(api: Api, find: Callable[[Api], object]) -> None:
    damage(api)
    find(api)
    (told,) = alarms(api)
    assert alarms(restarted(api)) == [told]


@pytest.mark.parametrize("place", ["member.commit", "_service._writer.submit"])
def test_what_a_store_that_takes_no_write_can_not_keep_is_told_until_a_restart(
    api: Api, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    damage(api)
    *owners, name = place.split(".")
    monkeypatch.setattr(reduce(getattr, owners, api), name, refuse)
    run(api)
    assert len(alarms(api)) == 1


# -- What clears it ----------------------------------------------------------------------------------------------
def test_it_stands_until_a_later_check_has_found_nothing_to_its_end(api: Api) -> None:
    sound = damage(api)
    run(api)
    put(api, Table.EVENTS, sound)
    (told,) = alarms(api)
    half = run(api, stretches=2)
    assert alarms(api) == [told]
    run(api, half["cursor"])
    assert alarms(api) == []
    assert soundness(api)["ok"]


def test_a_check_clears_what_a_rebuild_found(api: Api) -> None:
    sound = damage(api)
    refuse_to_rebuild(api)
    put(api, Table.EVENTS, sound)
    run(api)
    assert alarms(api) == []


def test_after_it_was_cleared_a_restart_brings_nothing_back(api: Api) -> None:
    sound = damage(api)
    run(api)
    put(api, Table.EVENTS, sound)
    run(api)
    assert alarms(restarted(api)) == []


def test_a_rebuild_clears_what_was_found_of_views_alone(api: Api) -> None:
    damage(api, layout.Views(api.member.replica.generation).records)
    run(api)
    assert len(alarms(api)) == 1
    rebuild_all(api)
    assert alarms(api) == alarms(restarted(api)) == []


def test_a_rebuild_clears_nothing_where_the_log_is_damaged_too(api: Api) -> None:
    damage(api, layout.Views(api.member.replica.generation).records)
    key, value = last_row(api, Table.BATCHES)
    put(api, Table.BATCHES, (key, value[:20] + bytes([value[20] ^ 1]) + value[21:]))
    run(api)
    rebuild_all(api)
    assert len(alarms(api)) == 1


def test_a_rebuild_that_gets_through_clears_what_one_before_stumbled_on(api: Api) -> None:
    sound = damage(api)
    refuse_to_rebuild(api)
    put(api, Table.EVENTS, sound)
    rebuild_all(api)
    assert alarms(api) == []


def test_a_check_that_began_before_something_was_found_does_not_clear_it(api: Api) -> None:
    under_way = run(api, stretches=1)
    api.clock.advance(1)
    sound = damage(api)
    refuse_to_rebuild(api)
    put(api, Table.EVENTS, sound)
    assert run(api, under_way["cursor"])["done"]
    assert alarms(api) != []


def test_a_later_check_that_finds_something_else_takes_its_place(api: Api) -> None:
    sound = damage(api)
    run(api)
    put(api, Table.EVENTS, sound)
    damage(api, layout.Views(api.member.replica.generation).records)
    run(api)
    (told,) = alarms(api)
    assert "its record can't be read" in told


def test_a_clock_set_back_does_not_keep_it_for_ever(api: Api) -> None:
    sound = damage(api)
    run(api)
    put(api, Table.EVENTS, sound)
    api.clock.set_wall(api.clock.now_ms() - 60_000)
    run(api)
    assert alarms(api) == []
