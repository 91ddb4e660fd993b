"""What every request has."""

from moot_protocol.requests.base import Mutation
from moot_protocol.requests.methods import REQUESTS

ABOUT_FILES = {"mirror_on", "mirror_off", "mirror_sync", "mirror_resume", "protect"}
"""They are about files of this machine: those of mirrors, whose lines say who acted, and modes."""


def test_every_request_that_writes_says_who_acts_or_founds_something() -> None:
    writing = {name for name, request in REQUESTS.items() if request.writes}
    assert {name for name in writing if not issubclass(REQUESTS[name], Mutation)} <= {"init_town"} | ABOUT_FILES
    assert all("actor" in REQUESTS[name].__struct_fields__ for name in writing - {"init_town"} - ABOUT_FILES)
