"""What is said of dependencies of types that nobody knows."""

import pytest

from moot_testkit.clients.console import run_console

EDGE = {"issue_id": "demo-1", "depends_on_id": "demo-2", "created": True}
WORDS = "blockz is a type of your own: such a dependency holds nothing up"


@pytest.mark.parametrize(("kind", "is_told"), [("blockz", True), ("blocks", False), ("discovered-from", False)])
def test_a_dependency_that_holds_nothing_up_though_it_may_be_meant_to_is_told(kind: str, is_told: bool) -> None:
    ran = run_console(f"dep add demo-1 demo-2 --type {kind}", {"add_edge": {**EDGE, "type": kind}})
    assert (ran.code, WORDS in ran.err) == (0, is_told)
    ran = run_console(f"create T --deps {kind}:demo-2 --silent", {"create": {"id": "demo-1"}, "script": [{"id": "d"}]})
    assert (ran.code, WORDS in ran.err) == (0, is_told)


def test_each_type_of_a_file_is_told_once_and_nothing_where_nothing_is_wanted() -> None:
    edges = [{**EDGE, "type": "blockz"}] * 3
    lines = b'{"from": "demo-1", "to": "demo-2", "type": "blockz"}\n' * 3
    ran = run_console("dep add --file deps.jsonl", {"script": edges}, files={"deps.jsonl": lines})
    assert ran.err.count(WORDS) == 1
    assert "blocks, conditional-blocks, parent-child, waits-for do" in ran.err
    ran = run_console("dep add demo-1 demo-2 --type blockz -q", {"add_edge": {**EDGE, "type": "blockz"}})
    assert ran.err == ""
