"""Lines of a mirrored file: an export's, for the issues that are named."""

import json

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Delete
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.issues.mirroring import issues_of, mirrored_lines, of_project, others_of, plane_number


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-one", labels=("a",))
    made.create("mt-two")
    made.create("ot-three", project="other")
    return made


def lines(desk: Desk, names: set[str] | None) -> dict[str, bytes | None]:
    with desk.replica.read() as reader:
        return mirrored_lines(issues_of(desk.replica, reader, desk.replica.ledger.id), PROJECT, names)


def test_all_issues_of_the_project_have_the_lines_of_an_export(desk: Desk) -> None:
    exported = {json.loads(line)["id"]: line.encode() for line in desk.ask(Export())["lines"]}
    assert lines(desk, None) == {name: exported[name] for name in ("mt-one", "mt-two")}


def test_only_those_named_are_told_and_others_projects_and_nobodys_are_left_out(desk: Desk) -> None:
    assert set(lines(desk, {"mt-one", "ot-three", "mt-none"})) == {"mt-one"}


def test_a_deleted_issue_is_a_tombstone(desk: Desk) -> None:
    desk.do(Delete(actor="ada", id="mt-two"))
    line = lines(desk, {"mt-two"})["mt-two"]
    assert line is not None
    assert json.loads(line)["status"] == "tombstone"


def test_the_issues_of_a_project_are_told_from_others_and_deleted_ones_are_its_too(desk: Desk) -> None:
    desk.do(Delete(actor="ada", id="mt-two"))
    with desk.replica.read() as reader:
        issues = issues_of(desk.replica, reader, desk.replica.ledger.id)
        names = {"mt-one", "mt-two", "ot-three", "mt-none"}
        assert of_project(issues, PROJECT, names) == {"mt-one", "mt-two"}
        assert others_of(issues, PROJECT, names) == {"ot-three": "other"}
        assert others_of(issues, "other", names) == {"mt-one": PROJECT, "mt-two": PROJECT}


def test_a_plane_that_is_not_here_is_refused(desk: Desk) -> None:
    with pytest.raises(RefusedError) as refused:
        plane_number(desk.replica, b"?" * 16)
    assert refused.value.code is Code.NOT_FOUND
