"""What programs that call `bd` rely on: shapes of documents, exit codes, and what is remembered, with a real daemon."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moot_testkit.machines.machine import Machine, machine


@contextmanager
def used() -> Iterator[Machine]:
    with machine() as made:
        bd(made, "init", "--prefix", "demo", "--quiet")
        walls = bd_json(made, "create", "Walls", "-p", "1")["id"]
        roof = bd_json(made, "create", "Roof", "--deps", walls)["id"]
        bd(made, "comment", walls, "planned")
        made.environment |= {"WALLS": walls, "ROOF": roof}
        yield made


@pytest.fixture(scope="module")
def town() -> Iterator[Machine]:
    with used() as made:
        yield made


@pytest.fixture
def own_town() -> Iterator[Machine]:
    with used() as made:
        yield made


def bd(town: Machine, *arguments: str, stdin: str | None = None) -> str:
    done = town.run(*arguments, program="bd", stdin=stdin)
    assert done.returncode == 0, f"bd {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def bd_json(town: Machine, *arguments: str) -> Any:
    return json.loads(bd(town, *arguments, "--json"))


@pytest.mark.parametrize(
    ("command", "shape", "fields"),
    [
        ("version", dict, "version build"),
        ("info", dict, "database_path mode issue_count config"),
        ("where", dict, "path prefix database_path"),
        ("context", dict, "beads_dir repo_root backend bd_version"),
        ("ping", dict, "status total_ms"),
        ("stats", dict, "summary"),
        ("status", dict, "summary"),
        ("list", list, "id title status priority issue_type created_at updated_at dependency_count dependent_count"),
        ("ready", list, "id title status priority issue_type created_at updated_at comment_count"),
        ("blocked", list, "id blocked_by blocked_by_count"),
        ("show $ROOF", list, "id dependencies dependency_count dependent_count"),
        ("update $WALLS -p 0", list, "id priority"),
        ("dep tree $ROOF", list, "id title status depth parent_id truncated"),
        ("dep list $ROOF", list, "id dependency_type"),
        ("comment $WALLS seen", dict, "id issue_id author text created_at"),
        ("comments $WALLS", list, "id issue_id author text created_at"),
        ("reopen $WALLS", list, "id status"),
        ("label add $WALLS stone", list, "status issue_id label"),
        ("config get custom.x", dict, "key value"),
        ("daemon status", dict, "running status pid version"),
        ("doctor", dict, "path checks overall_ok cli_version"),
        ("migrate --inspect", dict, "registered_migrations current_state warnings"),
        ("compact --stats", dict, "total_closed tier1_candidates"),
        ("statuses", dict, "built_in_statuses custom_statuses"),
        ("types", dict, "core_types custom_types"),
    ],
)
def test_documents_have_the_shapes_of_bd(town: Machine, command: str, shape: type, fields: str) -> None:
    words = [town.environment[word[1:]] if word.startswith("$") else word for word in command.split()]
    document = bd_json(town, "--no-daemon", *words)
    assert isinstance(document, shape)
    first: Any = document[0] if isinstance(document, list) else document
    assert set(fields.split()) <= set(first)


def test_what_was_closed_is_told_with_its_time_and_reason(own_town: Machine) -> None:
    (closed,) = bd_json(own_town, "--no-daemon", "close", own_town.environment["WALLS"], "--reason", "done")
    assert {"id", "status", "closed_at", "close_reason"} <= closed.keys()


def test_every_failure_exits_1_with_its_words_under_error(town: Machine) -> None:
    for words in (["show", "demo-nowhere"], ["frobnicate"], ["update"], ["close", town.environment["ROOF"]]):
        failed = town.run(*words, "--json", program="bd")
        assert failed.returncode == 1
        error = json.loads(failed.stdout)["error"]
        assert failed.stderr.startswith(f"Error: {error}")


def test_a_session_ends_as_agents_are_told_to_end_it(town: Machine) -> None:
    assert town.run("sync", "--flush-only", program="bd").returncode == 0


def test_memories_and_settings_outlive_the_command_and_go_through_a_file(own_town: Machine) -> None:
    bd(own_town, "remember", "Tests need a running broker")
    bd(own_town, "remember", "-", "--key", "auth", stdin="JWT,\nnot sessions\n")
    bd(own_town, "kv", "set", "flag", "on")
    bd(own_town, "config", "set-many", "status.custom=review:active", "custom.x=1")
    assert bd_json(own_town, "memories") == {
        "auth": "JWT,\nnot sessions",
        "tests-need-a-running-broker": "Tests need a running broker",
    }
    assert bd_json(own_town, "kv", "list") == {"flag": "on"}
    assert bd_json(own_town, "config", "list") == {"custom.x": "1", "status.custom": "review:active"}
    kept = bd(own_town, "export", "--include-memories")
    bd(own_town, "forget", "auth")
    assert own_town.run("recall", "auth", program="bd").returncode == 1
    bd(own_town, "import", "-", stdin=kept)
    assert bd(own_town, "recall", "auth") == "JWT,\nnot sessions\n"


def test_prime_tells_what_is_known_and_to_be_done(own_town: Machine) -> None:
    bd(own_town, "remember", "Walls before roofs", "--key", "order")
    bd(own_town, "update", own_town.environment["WALLS"], "--claim")
    told = bd(own_town, "prime")
    assert len(told.encode()) <= 1_800
    assert told.index("- order: Walls before roofs") < told.index("## Yours") < told.index("Walls\n")
    assert own_town.environment["WALLS"][:9] in bd(own_town, "prime", "--after-compact")
    assert own_town.run("prime", program="bd", folder=own_town.home).stdout == ""


def test_a_question_to_a_human_is_answered(town: Machine) -> None:
    asked = bd_json(town, "create", "Which colour?", "-l", "human")["id"]
    assert [issue["id"] for issue in bd_json(town, "human", "list")] == [asked]
    bd(town, "human", "respond", asked, "Green")
    assert bd_json(town, "human", "stats") == {"total": 1, "pending": 0, "responded": 1, "dismissed": 0}
    assert [comment["text"] for comment in bd_json(town, "comments", asked)] == ["Response: Green"]
