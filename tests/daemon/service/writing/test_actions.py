"""Further requests that change issues are carried out where their issue is, once for a key, and on trial."""

from moot_protocol.requests.actions import ACTION_REQUESTS, SetState
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import Children, Create, IssueFields
from moot_testkit.towns.planes import TEAM, TEAM_PROJECT, create_on, plane_holding, two_planes
from moot_testkit.towns.town import make_api
from mootd.service.writing.actions import ACTION_WRITES, PLANELESS_WRITES


def test_every_writing_request_of_the_subject_is_carried_out() -> None:
    assert not set(ACTION_WRITES) & set(PLANELESS_WRITES)
    writing = {request for request in ACTION_REQUESTS if issubclass(request, Mutation)}
    assert set(ACTION_WRITES) | set(PLANELESS_WRITES) == writing


def test_an_issue_is_changed_on_the_plane_that_holds_it() -> None:
    desk = two_planes()
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT)
    done = desk.do(SetState(actor="bob", id="tm-one", dimension="mode", value="bad"))
    assert plane_holding(desk, done["event_id"]) == TEAM


def test_a_key_makes_it_once_and_a_trial_leaves_nothing() -> None:
    api = make_api()
    api.call(Create(actor="ada", project="demo", id="demo-1", fields=IssueFields(title="One")))
    tried = api.call(SetState(actor="ada", id="demo-1", dimension="mode", value="bad", dry_run=True))
    assert tried["changed"]
    assert api.call(Children(id="demo-1")).issues == []
    state = SetState(actor="ada", id="demo-1", dimension="mode", value="bad")
    assert api.call(state, "key") == api.call(state, "key")
    assert len(api.call(Children(id="demo-1")).issues) == 1
