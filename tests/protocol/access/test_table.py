"""The table from methods to permissions, and the names that a request is about."""

from moot_protocol.access.table import (
    EVERY_PERMISSION,
    PERMISSIONS,
    UNLISTED,
    Named,
    Part,
    methods_in,
    parts_of,
    permissions_of,
    resources_of,
)
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.exchange import Join, SetMode
from moot_protocol.requests.gates import CreateGate
from moot_protocol.requests.issues import AddEdge, Create, Edge, IssueFields, ListIssues, Script, Update
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.mail import SendMail
from moot_protocol.requests.membership import Recover, RemoveTown, RetireReplica
from moot_protocol.requests.memories import Remember
from moot_protocol.requests.methods import REQUESTS


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
    alice, demo, toast = (
        Named("alice"),
        Named("demo-1", is_id=True),
        Named("polecat/toast"),
    )
    assert resources_of(update) == (alice, demo, toast)
    assert resources_of(ListIssues(filter=Filter(projects=("demo",)))) == (Named("demo", False),)
    assert resources_of(ListIssues()) == ()


def test_what_people_write_freely_names_nothing() -> None:
    written = {"project": "demo", "id": "demo-1"}
    create = Create(actor="alice", project="other", fields=IssueFields(title="t"), metadata=written)
    assert {each.text for each in resources_of(create)} == {"alice", "other"}
    steps = ({"method": "update", "params": {"id": "a-1", "set_metadata": written}},)
    assert [part.named for part in parts_of(Script(actor="alice", steps=steps))] == [(Named("a-1", is_id=True),)]


def test_a_name_that_an_issue_is_to_have_is_one_that_a_request_is_about() -> None:
    assert Named("secret-1") in resources_of(Rename(actor="alice", id="demo-1", alias="secret-1"))


def test_secrets_are_no_names() -> None:
    secrets = (Join(actor="a", ticket="moot1secret"), Recover(actor="a", words="twenty four words"))
    for request in secrets:
        assert not {each.text for each in resources_of(request)} & {"moot1secret", "twenty four words"}


def test_a_scripts_steps_are_its_parts_each_with_the_names_in_it() -> None:
    steps = (
        {"method": "create", "params": {"project": "demo", "fields": {"assignee": "bob"}}},
        {"method": "add_edge", "params": {"id": "demo-1", "edge": {"to": "$1"}}},
        {"method": "teleport"},
    )
    first, second, third = parts_of(Script(actor="alice", steps=steps))
    assert first == Part("create", "issue:write", (Named("bob"), Named("demo")), "demo", ("demo",))
    assert second == Part("add_edge", "issue:write", (Named("demo-1", is_id=True),))
    assert third == Part("teleport", UNLISTED, ())
    request = ListIssues(filter=Filter(projects=("demo",)))
    assert parts_of(request) == (Part("list", "issue:read", (Named("demo"),), places=("demo",)),)
    assert parts_of(Script(actor="alice", steps=())) == (Part("script", "issue:write", (Named("alice"),)),)


def test_every_issue_that_a_request_names_is_told_as_one() -> None:
    edge = AddEdge(actor="alice", id="demo-1", edge=Edge(to="demo-2"))
    gate = CreateGate(actor="alice", project="demo", await_type="human", blocks=("demo-3",))
    awaiting = CreateGate(actor="alice", project="demo", await_type="bead", await_id=" demo-4 ")
    run = CreateGate(actor="alice", project="demo", await_type="gh:run", await_id="4711")
    named = {each.text for request in (edge, gate, awaiting, run) for each in resources_of(request) if each.is_id}
    assert named == {"demo-1", "demo-2", "demo-3", "demo-4"}
    assert Named("4711") in resources_of(run)


def test_a_permission_on_a_name_covers_that_of_one_kind_of_thing_only() -> None:
    for request, places in (
        (Create(actor="alice", project="demo", plane="build", fields=IssueFields(title="t")), ("demo",)),
        (CreateGate(actor="alice", project="demo", await_type="gh:run", await_id="build"), ("demo",)),
        (RemoveTown(actor="alice", town="build", plane="common"), ("common",)),
        (RetireReplica(actor="alice", replica="build"), ()),
        (SetMode(actor="alice", plane="build", remote="origin", mode="auto"), ("origin",)),
        (SendMail(actor="alice", to="bob", plane="build", text="t"), ()),
        (Remember(actor="alice", project="build", key="deploy", text="t"), ("deploy",)),
    ):
        assert parts_of(request)[0].places == places, request


def test_what_a_script_calls_by_a_number_is_what_the_step_of_that_number_names() -> None:
    steps = (
        {"method": "update", "params": {"id": "demo-1"}},
        {"method": "close", "params": {"id": "$1"}},
        {"method": "delete", "params": {"id": "$2"}},
        {"method": "create", "params": {"project": "demo"}},
        {"method": "delete", "params": {"id": "$4"}},
        {"method": "delete", "params": {"id": "$9"}},
    )
    demo = (Named("demo-1", is_id=True),)
    named = [part.named for part in parts_of(Script(actor="alice", steps=steps))]
    assert named == [demo, demo, demo, (Named("demo"),), (), ()]
