"""The table from methods to permissions, and the names that a request is about."""

from moot_protocol.access_table import (
    EVERY_PERMISSION,
    PERMISSIONS,
    UNLISTED,
    Named,
    methods_in,
    permissions_of,
    resources_of,
)
from moot_protocol.exchange_requests import Join
from moot_protocol.listing import Filter
from moot_protocol.membership_requests import Recover
from moot_protocol.methods import REQUESTS
from moot_protocol.requests import IssueFields, ListIssues, Script, Update


def test_every_method_has_a_permission_and_the_table_names_no_other() -> None:
    assert set(REQUESTS) == set(PERMISSIONS)


def test_what_writes_is_never_allowed_to_those_who_only_read() -> None:
    reading = {method for method, permission in PERMISSIONS.items() if permission.endswith(":read")}
    assert not [method for method in reading if method in REQUESTS and REQUESTS[method].writes]


def test_a_permission_has_a_subject_and_a_verb() -> None:
    verbs = {permission.split(":")[1] for permission in EVERY_PERMISSION}
    assert verbs == {"read", "write", "delete", "import", "admin"}
    assert all(permission.count(":") == 1 for permission in EVERY_PERMISSION)


def test_a_script_needs_what_its_steps_need() -> None:
    steps = ({"method": "delete", "params": {"id": "demo-1"}}, {"method": "teleport", "params": {}})
    script = Script(actor="alice", steps=steps)
    assert methods_in(script) == ("script", "delete", "teleport")
    assert permissions_of(script) == ("issue:write", "issue:delete", UNLISTED)
    assert Named("demo-1", True) in resources_of(script)


def test_a_request_is_about_the_names_in_it_at_any_depth() -> None:
    update = Update(actor="alice", id="demo-1", fields=IssueFields(title="Words", assignee="polecat/toast"))
    assert resources_of(update) == (Named("alice", False), Named("demo-1", True), Named("polecat/toast", False))
    assert resources_of(ListIssues(filter=Filter(projects=("demo",)))) == (Named("demo", False),)
    assert resources_of(ListIssues()) == ()


def test_secrets_are_no_names() -> None:
    secrets = (Join(actor="a", ticket="moot1secret"), Recover(actor="a", words="twenty four words"))
    for request in secrets:
        assert not {each.text for each in resources_of(request)} & {"moot1secret", "twenty four words"}
