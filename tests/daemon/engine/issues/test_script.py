"""Scripts: several mutations that are carried out all or not at all."""

from typing import Any

import msgspec
import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.issues import Edge, Script
from moot_protocol.requests.memories import Memories, Settings
from moot_protocol.requests.scripts import STEPS
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.issues.script import run_script
from mootd.service.writing.writes import carry_out, is_atomic


def step(method: str, label: str = "", **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params} | ({"label": label} if label else {})


def create(title: str = "T", **params: Any) -> dict[str, Any]:
    return step("create", project="mt", fields={"title": title}, **params)


def run(desk: Desk, *steps: dict[str, Any], dry_run: bool = False) -> list[Any]:
    """Carry out a script as the writer does: in a savepoint, since it may fail after it has written."""
    request = Script(actor="alice", steps=steps, dry_run=dry_run)
    assert is_atomic(request)
    with desk.replica.transaction() as unit, unit.savepoint():
        answers: list[Any] = carry_out(unit, request)
    return answers


def failure(desk: Desk, *steps: dict[str, Any]) -> MootError:
    before = desk.tables()
    with pytest.raises(MootError) as raised:
        run(desk, *steps)
    assert desk.tables() == before, "all or nothing"
    return raised.value


def test_steps_are_carried_out_in_order_by_the_scripts_actor(desk: Desk) -> None:
    answers = run(desk, create("one", id="mt-1"), step("update", id="mt-1", claim=True), step("close", id="mt-1"))
    assert [answer["status"] for answer in answers] == ["open", "in_progress", "closed"]
    assert answers[1]["assignee"] == "alice"


def test_a_number_with_a_dollar_stands_for_the_issue_that_a_step_made_wherever_an_id_can_stand(desk: Desk) -> None:
    answers = run(
        desk,
        create("epic"),
        create("blocker"),
        create("child", parent="$1", edges=[{"to": "$2"}]),
        step("add_edge", id="$1", edge={"to": "$2", "type": "related"}),
        step("add_comment", id="$3", text="$1"),
        step("update", id="$3", parent=""),
        step("remove_edge", id="$1", to="$2"),
    )
    epic, blocker, child = (answer["id"] for answer in answers[:3])
    assert {(each["depends_on_id"], each["type"]) for each in answers[2]["dependencies"]} == {
        (epic, "parent-child"),
        (blocker, "blocks"),
    }
    assert answers[3]["depends_on_id"] == blocker
    assert desk.show(child)["comments"][0]["text"] == "$1", "text is no id"
    assert "dependencies" not in desk.show(epic)


def test_a_gate_can_be_made_over_issues_that_the_script_made_and_wait_for_one(desk: Desk) -> None:
    steps = (
        create("work"),
        create("other"),
        step("create_gate", project="mt", await_type="issue", await_id="$2", blocks=["$1"]),
        step("create_gate", project="mt", await_type="gh:run", await_id="$2"),
    )
    work, other, gate, run_gate = run(desk, *steps)
    assert gate["await_id"] == other["id"]
    assert [each["depends_on_id"] for each in desk.show(work["id"])["dependencies"]] == [gate["id"]]
    assert run_gate["await_id"] == "$2", "the name of a run is no issue's id"


def test_a_claim_can_be_renewed_and_a_state_set_beside_other_changes(desk: Desk) -> None:
    desk.create("mt-1")
    _, (renewed,), state, _ = run(
        desk,
        step("update", id="mt-1", claim=True),
        step("heartbeat", id="mt-1", ttl_ms=60_000),
        step("set_state", id="mt-1", dimension="phase", value="two"),
        step("add_comment", id="mt-1", text="going on"),
    )
    assert (renewed["renewed"], state["new_value"]) == (True, "two")
    assert desk.show("mt-1")["labels"] == ["phase:two"]


@pytest.mark.parametrize("method", sorted(STEPS))
def test_every_step_that_the_protocol_names_is_understood_here(desk: Desk, method: str) -> None:
    wanted = {field.name for field in msgspec.structs.fields(STEPS[method]) if field.required} - {"actor"}
    error = failure(desk, create(id="mt-1"), step(method, unheard_of=1))
    assert error.message.startswith(f"step 2: {method}: ")
    assert "unheard_of" in error.message or any(name in error.message for name in wanted)


def test_values_of_metadata_are_left_alone(desk: Desk) -> None:
    (answer,) = run(desk, create(metadata={"id": "$1", "parent": {"to": "$9"}}))
    assert answer["metadata"] == {"id": "$1", "parent": {"to": "$9"}}


@pytest.mark.parametrize("typed", ["$1", "$2", "$0", "$99"])
def test_a_number_of_no_earlier_issue_is_refused(desk: Desk, typed: str) -> None:
    error = failure(desk, step("close", id=typed), create())
    assert error.code is Code.INVALID
    assert typed in error.message


def test_an_id_may_begin_with_a_dollar_if_no_number_follows(desk: Desk) -> None:
    for typed in ("$x", "$²"):
        assert failure(desk, create(), step("close", id=typed)).code is Code.NOT_FOUND


def test_one_step_that_is_refused_takes_everything_back_and_is_named(desk: Desk) -> None:
    error = failure(desk, create("one", id="mt-1"), create("two"), step("close", "line 7", id="mt-none"))
    assert error.code is Code.NOT_FOUND
    assert error.message.startswith("line 7: ")
    assert failure(desk, create(), step("close", id="mt-none")).message.startswith("step 2: ")


def test_a_step_that_is_labelled_with_an_id_names_it_once(desk: Desk) -> None:
    desk.create("mt-a")
    desk.create("mt-b", edges=(Edge("mt-a"),))
    error = failure(desk, step("close", "mt-b", id="mt-b"))
    assert error.message == "mt-b is blocked by open issues: mt-a"
    assert error.discreet.startswith("mt-b is blocked")
    assert failure(desk, step("close", "nope", id="nope")).message == "no issue nope"
    assert failure(desk, step("close", "b", id="mt-b")).message.startswith("b: mt-b is blocked")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("mt-b is blocked", "mt-b is blocked"),
        ("there is no issue mt-b", "there is no issue mt-b"),
        ("bob holds mt-b, and works on it", "bob holds mt-b, and works on it"),
        ("a label is empty", "mt-b: a label is empty"),
        ("bob holds mt-b.1", "mt-b: bob holds mt-b.1"),
        ("bob holds x-mt-b", "mt-b: bob holds x-mt-b"),
        ("bob holds mt-bc", "mt-b: bob holds mt-bc"),
    ],
)
def test_whatever_a_refusal_is_worded_like_it_names_the_id_that_a_step_is_labelled_with_once(
    message: str, told: str
) -> None:
    def refuse(mutation: object) -> object:
        raise RefusedError(message)

    with pytest.raises(RefusedError) as raised:
        run_script(Script(actor="alice", steps=(step("close", "mt-b", id="mt-b"),)), refuse)
    assert raised.value.message == told


def test_a_label_that_is_no_id_is_told_even_where_its_word_stands_in_the_refusal(desk: Desk) -> None:
    assert failure(desk, step("close", "issue", id="nope")).message == "issue: no issue nope"


@pytest.mark.parametrize(
    "wrong",
    [
        step("import", project="mt", lines=[]),
        step("script", steps=[]),
        step("init_project", prefix="mt"),
        step("list"),
        step("nonsense"),
        step("claim_ready", project="mt"),
        step("create_gate", project="mt", await_type=[], await_id="$1"),
        {"params": {}},
        {"method": ["create"], "params": {}},
        {"method": "create"},
        {"method": "create", "params": []},
        {"method": "create", "params": "x"},
        step("create", project="mt", fields={"title": 5}),
        step("close", id="mt-1", dry_run=True),
        step("close", id="mt-1", unheard_of=1),
        {"method": "close", "params": {"id": 5}, "label": 5},
    ],
)
def test_what_cannot_be_a_step_is_refused(desk: Desk, wrong: dict[str, Any]) -> None:
    assert failure(desk, create(id="mt-1"), wrong).code is Code.INVALID


def test_a_script_has_at_most_a_thousand_steps(desk: Desk) -> None:
    assert failure(desk, *[step("close", id="x")] * 1001).code is Code.LIMIT


def test_a_script_tried_out_answers_and_leaves_nothing(desk: Desk) -> None:
    desk.create("mt-1")
    before = desk.records()
    answers = run(desk, create("one"), step("close", id="mt-1"), step("update", id="$1", claim=True), dry_run=True)
    assert [answer["status"] for answer in answers] == ["open", "closed", "in_progress"]
    assert desk.records() == before
    assert desk.ready() == ["mt-1"]


def test_an_empty_script_does_nothing(desk: Desk) -> None:
    assert run(desk) == []


def test_memories_and_settings_can_be_steps(desk: Desk) -> None:
    kept = step("remember", project=PROJECT, key="auth", text="JWT")
    run(desk, kept, step("set_setting", project=PROJECT, key="custom.x", value="$1"))
    assert [each["text"] for each in desk.ask(Memories(project=PROJECT))] == ["JWT"]
    assert [each["value"] for each in desk.ask(Settings(project=PROJECT))] == ["$1"]
    failure(desk, step("forget", project=PROJECT, key="auth"), step("set_setting", project=PROJECT, key="x", value="1"))
    assert len(desk.ask(Memories(project=PROJECT))) == 1
