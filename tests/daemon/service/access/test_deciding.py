"""What rules say of one request of one subject, with ids looked up in a list."""

from typing import Any

import pytest

from moot_protocol.access.file import read_rules
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import AUDIT_RESOURCES
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import Close, Create, IssueFields, ListIssues, ResolveIds, Script, Show
from moot_protocol.requests.memories import Prime
from moot_protocol.requests.transfer import Import
from mootd.service.access.deciding import Deciding

RULES = """
[users.everything]
role = "admin"

[users.open]
role = "user"
permissions = ["issue:*"]
restrictions = ["no:secret-*"]

[users.some]
role = "user"
permissions = ["issue:read:open-*", "issue:write:open-*"]
"""
IDS = {"open-1": "open-1", "7": "secret-7", "secret-alias": "open-1"}
"""What is typed, and the id that it means."""


def resolve(request: Request[Any]) -> list[str]:
    assert isinstance(request, ResolveIds)
    (typed,) = request.ids
    if typed == "o":
        raise RefusedError("it may mean several", code=Code.AMBIGUOUS)
    if typed not in IDS:
        raise RefusedError("there is none", code=Code.NOT_FOUND)
    return [IDS[typed]]


def passes(subject: str, request: Request[Any]) -> bool:
    deciding = Deciding(read_rules(RULES), subject, resolve)
    return deciding.on(request, scoped=deciding.is_scoped(request)).allowed


def test_from_whom_nothing_is_hidden_passes_with_all_that_is_permitted() -> None:
    assert passes("everything", Close(actor="a", id="7"))
    assert passes("everything", ListIssues())


def test_an_id_is_judged_by_what_it_means_and_by_what_was_typed() -> None:
    assert passes("open", Close(actor="a", id="open-1"))
    assert not passes("open", Close(actor="a", id="7"))
    assert not passes("open", Close(actor="a", id="secret-9"))
    assert not passes("open", Close(actor="a", id="secret-alias"))


def test_a_guess_at_a_hidden_name_is_told_from_a_refusal() -> None:
    deciding = Deciding(read_rules(RULES), "open", resolve)
    assert deciding.on(Close(actor="a", id="7"), scoped=True).unseen == "7"
    assert deciding.on(Close(actor="a", id="secret-9"), scoped=True).unseen == ""


def test_a_beginning_of_several_ids_is_no_way_to_learn_of_hidden_ones() -> None:
    assert not passes("some", Show(ids=("o",)))
    assert passes("everything", Show(ids=("o",)))


def test_an_issue_is_made_where_its_project_is_granted() -> None:
    assert passes("some", Create(actor="some", project="open", fields=IssueFields(title="t")))
    assert not passes("some", Create(actor="some", project="other", fields=IssueFields(title="t")))


def test_a_list_is_narrowed_for_whom_some_is_hidden_and_a_blind_claim_denied() -> None:
    assert passes("some", ListIssues())
    assert not passes("some", ClaimReady(actor="some"))


def test_a_script_takes_nothing_blindly_for_whom_some_is_hidden() -> None:
    script = Script(actor="a", steps=({"method": "claim_ready", "params": {}},))
    assert passes("everything", script)
    rules = read_rules(RULES.replace('"issue:*"', '"issue:*", "claim:*"'))
    deciding = Deciding(rules, "open", resolve)
    assert deciding.on(ClaimReady(actor="a"), scoped=True).allowed, "it is told what it may take"
    assert not deciding.on(script, scoped=True).allowed


def test_what_an_answer_shows_besides_counts_as_hidden_too() -> None:
    for rules, is_scoped in (("", True), (', "memory:read"', False)):
        text = f'[users.one]\nrole = "user"\npermissions = ["issue:read"{rules}]\n'
        assert Deciding(read_rules(text), "one", resolve).is_scoped(Prime(project="open", actor="one")) is is_scoped


def test_a_restriction_means_what_the_lines_of_a_file_name() -> None:
    lines = (b'{"id":"open-2","title":"t"}', b'{"id":"secret-2","title":"t"}')
    assert passes("open", Import(actor="open", project="open", lines=lines[:1]))
    assert not passes("open", Import(actor="open", project="open", lines=lines))


@pytest.mark.parametrize(("more", "allowed"), [(0, True), (1, False)])
def test_only_so_many_things_are_named_at_once(more: int, allowed: bool) -> None:
    assert (
        passes("everything", Show(ids=tuple(f"open-{number}" for number in range(AUDIT_RESOURCES + more)))) is allowed
    )


def test_sight_is_what_is_granted_and_not_taken_away() -> None:
    sees = Deciding(read_rules(RULES), "open", resolve).sight()
    assert sees("issue:read", "open-1")
    assert not sees("issue:read", "secret-1")
    assert not sees("issue:read", "open-1", "secret-1")
    assert not sees("town:read", "open-1")
