"""What was kept beside the log goes with what was erased: answers keep their shape, and no command is done twice."""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from moot_protocol.issues.erasure import ERASABLE, TITLE_ERASED
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddComment, Create, IssueFields, Script, Update
from moot_protocol.requests.memories import EraseMemory, Remember
from moot_testkit.laws.erasing import SECRET, erasing, places_of, told, two_feeds
from moot_testkit.towns.engine import PROJECT, START_MS, Desk, exchange, town_of
from mootd.engine.erasure.erased_copies import drop_copies
from mootd.engine.exchange.cut import Place
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.machine import mirror_keys, mirrors
from mootd.engine.machine.mirrors import MirrorRow, add_version, change_mirror, count_versions, lines_of, put_mirror
from mootd.engine.machine.remotes import add_remote
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out, once
from mootd.store.port import Table

HEARD = "kumquat"


def keyed(desk: Desk, request: Mutation[Any], key: str) -> Any:
    """Carry out a request under a key."""
    with desk.replica.transaction() as unit:
        return once(unit, request, key, lambda unit: carry_out(unit, request))


def make(name: str, title: str) -> Create:
    return Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=title, description=title))


def erase(desk: Desk) -> None:
    desk.clock.advance(1000)
    desk.do(Erase(actor="eve", id="mt-1"))


def is_heard(desk: Desk) -> bool:
    return any(HEARD.encode() in value for value in desk.rows(Table.META).values())


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


WRITES: dict[str, Callable[[], Mutation[Any]]] = {
    "a title": lambda: Update(actor="ada", id="mt-1", fields=IssueFields(title=HEARD)),
    "labels": lambda: Update(actor="ada", id="mt-1", fields=IssueFields(), add_labels=(HEARD,)),
    "a comment": lambda: AddComment(actor="ada", id="mt-1", text=HEARD),
    "a script": lambda: Script(
        actor="ada", steps=({"method": "add_comment", "params": {"id": "mt-1", "text": HEARD}, "label": "mt-1"},)
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_an_answer_loses_the_texts_of_the_issue_and_the_command_is_not_done_again(desk: Desk, what: str) -> None:
    keyed(desk, make("mt-1", "Title"), "first")
    request = WRITES[what]()
    before = keyed(desk, request, "key")
    assert is_heard(desk)
    erase(desk)
    assert not is_heard(desk)
    length = desk.log_length()
    after = keyed(desk, request, "key")
    assert (type(after), desk.log_length()) == (type(before), length)


def test_an_issue_s_answer_keeps_all_that_cannot_be_erased(desk: Desk) -> None:
    before = keyed(desk, make("mt-1", HEARD), "key")
    erase(desk)
    after = keyed(desk, make("mt-1", HEARD), "key")
    kept = {name: value for name, value in before.items() if name not in ERASABLE}
    assert after == kept | {"title": TITLE_ERASED}


def test_what_an_answer_says_under_any_other_name_goes_too(desk: Desk) -> None:
    def work(unit: Unit) -> Any:
        told = {"id": "mt-1", "status": "open", "_resolved": {"field": "title", "value": HEARD}, "new": [HEARD]}
        return once(unit, make("mt-1", HEARD), "key", lambda _: {"issues": [told, told | {"id": "mt-2"}]})

    desk.create("mt-1", "Title", description=HEARD)
    with desk.replica.transaction() as unit:
        work(unit)
    erase(desk)
    with desk.replica.transaction() as unit:
        one, two = work(unit)["issues"]
    assert one == {"id": "mt-1", "status": "open"}
    assert two["new"] == [HEARD]


def test_answers_about_other_issues_stay_as_they_are(desk: Desk) -> None:
    keyed(desk, make("mt-1", HEARD), "one")
    before = keyed(desk, make("mt-10", "mt-1 is in its title"), "two")
    erase(desk)
    assert keyed(desk, make("mt-10", "mt-1 is in its title"), "two") == before


def test_a_memory_s_answers_lose_its_text(desk: Desk) -> None:
    keyed(desk, Remember(actor="ada", project=PROJECT, key="k", text=HEARD), "key")
    desk.do(EraseMemory(actor="ada", project=PROJECT, key="k"))
    assert not is_heard(desk)


def test_an_erasure_that_another_machine_wrote_does_the_same() -> None:
    one, two = town_of("one", "two")
    keyed(one, make("mt-1", HEARD), "key")
    exchange(one, two)
    erase(two)
    assert is_heard(one)
    exchange(one, two)
    assert not is_heard(one)


# -- Versions of mirrored files ----------------------------------------------------------------------------------
def line(name: str, text: str) -> bytes:
    return f'{{"id":"{name}","description":"{text}"}}'.encode()


def mirrored(desk: Desk, *states: list[bytes]) -> MirrorRow:
    """A mirror whose file has had these states, and is the last of them."""
    plane = desk.replica.ledger.id
    row = MirrorRow(folder="/w", file="f", workspace="w", project=PROJECT, plane=plane)
    with desk.replica.transaction() as unit:
        numbers = [add_version(unit, row.scope, lines) for lines in states]
        put_mirror(unit, row)
        return change_mirror(unit, row, current=numbers[-1], newest=numbers[-1])


def written(desk: Desk, row: MirrorRow, lines: list[bytes]) -> None:
    """The file has come to another state."""
    with desk.replica.transaction() as unit:
        number = add_version(unit, row.scope, lines)
        change_mirror(unit, row, current=number, newest=number)


def test_versions_with_a_line_of_the_issue_go_once_the_file_is_written_anew(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    other = line("mt-2", "stays")
    row = mirrored(desk, [other], [line("mt-1", HEARD), other], [line("mt-1", f"{HEARD} two"), other])
    erase(desk)
    with desk.replica.transaction() as unit:
        change_mirror(unit, row, problem="the file can't be written")
    with desk.replica.read() as reader:
        assert lines_of(reader, row.scope, row.current), "what the file is known to be stays"
    written(desk, row, [line("mt-1", ""), other])
    assert not is_heard(desk)
    with desk.replica.read() as reader:
        assert count_versions(reader, row.scope) == 2
        assert lines_of(reader, row.scope, mirrors.mirrors(reader)[0].current) == [line("mt-1", ""), other]
        marks = mirror_keys.mirror_erased_key(row.scope)
        assert not list(reader.scan(Table.META, marks, layout.after(marks)))


def test_versions_without_one_stay(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    row = mirrored(desk, [line("mt-2", "mt-1 is in its text")], [line("mt-3", "x")])
    erase(desk)
    written(desk, row, [line("mt-3", "y")])
    with desk.replica.read() as reader:
        assert count_versions(reader, row.scope) == 3


def test_a_line_is_found_by_its_id_however_that_is_written(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    row = mirrored(desk, [b'{"id":"mt\\u002d1","description":"' + HEARD.encode() + b'"}'], [line("mt-2", "x")])
    erase(desk)
    written(desk, row, [line("mt-2", "y")])
    assert not is_heard(desk)


# -- Text that lay aside -----------------------------------------------------------------------------------------
def test_where_only_text_lying_aside_is_erased_its_copies_go_too() -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    end = town.end(one.author, 1, one.batches[0].id)
    desk = told(town, *town.charter.batches[:-1], *one.batches, two.batches[0], end)
    assert places_of(desk, SECRET.encode()) == ["ASIDE"]
    row = mirrored(desk, [line("mt-1", HEARD)], [line("mt-2", "x")])
    with desk.replica.transaction() as unit:
        once(unit, make("mt-1", HEARD), "key", lambda _: {"id": "mt-1", "title": HEARD})
        remote = add_remote(unit, "origin", "git", "git@example.org:a/b.git", "auto", {})
        Outbox(unit.transaction, remote.number).put(OutFrame(1, "batches", b"a frame", START_MS))
    desk.receive([erasure])
    assert places_of(desk, SECRET.encode()) == []
    assert desk.rows(Table.OUTBOX) == {}
    written(desk, row, [line("mt-2", "y")])
    assert not is_heard(desk)


# -- Many of both ------------------------------------------------------------------------------------------------
MANY = 3_000


def seconds_to_drop(desk: Desk, names: int) -> float:
    """Processor time that it takes to drop the copies of so many issues, none of which any copy is of."""
    with desk.replica.transaction() as unit:
        before = process_time()
        drop_copies(unit, desk.replica.ledger.number, {Place(ISSUE, f"mt-none{number}") for number in range(names)})
        return process_time() - before


@pytest.mark.parametrize("kind", ["answers", "lines"])
def test_that_many_are_erased_at_once_makes_a_copy_no_dearer(desk: Desk, kind: str) -> None:
    if kind == "lines":
        mirrored(desk, [line(f"mt-{number}", "x" * 300) for number in range(MANY)])
    else:
        answer = {"id": "mt-1", "title": "x" * 300}
        with desk.replica.transaction() as unit:
            for number in range(MANY):
                once(unit, make("mt-1", "T"), f"key {number}", lambda _: answer)
    few, many = (min(seconds_to_drop(desk, names) for _ in range(3)) for names in (1, MANY))
    assert many < 10 * few
