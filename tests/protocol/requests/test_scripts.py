"""Which mutations may be a step of a script: the same ones for whoever sends, carries and does it."""

from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimReady, ClaimsTold
from moot_protocol.requests.methods import REQUESTS
from moot_protocol.requests.scripts import STEPS
from moot_protocol.spool.files import ALLOWED


def test_steps_are_mutations_by_the_name_of_their_method() -> None:
    assert all(REQUESTS[method] is mutation for method, mutation in STEPS.items())
    assert all(issubclass(mutation, Mutation) for mutation in STEPS.values())


def test_of_what_goes_through_a_spool_only_what_names_no_issue_beforehand_is_no_step() -> None:
    assert {request for request in ALLOWED if request.method not in STEPS} == {ClaimReady, ClaimsTold}


def test_a_script_is_no_step_nor_is_what_writes_much_by_itself() -> None:
    assert not {"script", "import", "import_edits", "undo"} & STEPS.keys()
