"""Forked feeds as documents, and the requests that tell of them and settle them."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.membership import Forks, SettleFork
from moot_protocol.trust.charter import Admission, Invite, admission_draft, close_draft, end_draft, invite_draft
from moot_protocol.trust.charter import End as Pin
from moot_testkit.bytes.feeds import seed
from moot_testkit.sim.towns import write_charter
from moot_testkit.towns.carrying import plane_of, send
from moot_testkit.towns.federating import copy_of, federation, feed, town_key, write, write_ahead
from moot_testkit.towns.town import Api, Member
from mootd.engine.recovery.recovering import recover

KEY = bytes(range(32))


@pytest.fixture
def forked() -> tuple[bytes, Member, Member]:
    """A plane, its founder, and a guest whose charter and machine are forked, as the founder sees them."""
    plane, (one, two) = federation(Role.WRITER)
    twin = copy_of(two)
    drafts = [
        invite_draft(KEY, Invite(Role.READER, town_key(two), 0, KEY), "ada"),
        close_draft(KEY, [KEY], "ada"),
        end_draft(KEY, Pin(0, bytes(32), town_key(two)), "ada"),
        admission_draft(KEY, Admission("mill", Role.WRITER), "ada"),
    ]
    two.commit(lambda unit: write_charter(unit, drafts, plane_of(two, plane)))
    twin.commit(lambda unit: write_charter(unit, drafts[:1], plane_of(twin, plane)))
    write(two, plane, "here")
    write(twin, plane, "there")
    send(two, one, plane)
    send(twin, one, plane)
    return plane, one, two


def test_both_histories_are_told_event_by_event(forked: tuple[bytes, Member, Member]) -> None:
    plane, one, two = forked
    told = Api(one).call(Forks())
    assert {(each["kind"], each["author"], each["is_settled"]) for each in told} == {
        ("charter", key_text(town_key(two)), False), ("replica", key_text(two.id), False),
    }  # fmt: skip
    charter = next(each for each in told if each["kind"] == "charter")
    longer = max(charter["branches"], key=lambda branch: branch["events"])
    assert longer["branch"] == feed(two, plane, town_key(two)).head.hex()
    assert [(event["kind"], event["about"], event["says"]) for event in longer["does"]] == [
        ("invite", key_text(KEY), {"role": "reader", "town": key_text(town_key(two))}),
        ("invite", key_text(KEY), {"counting": [key_text(KEY)]}),
        ("end", key_text(KEY), {"n": 0, "town": key_text(town_key(two))}),
        ("admission", key_text(KEY), {"name": "mill", "role": "writer"}),
    ]
    machine = next(each for each in told if each["kind"] == "replica")
    assert all(event["says"]["keys"] for branch in machine["branches"] for event in branch["does"])
    assert Api(one).call(Forks(plane=plane.hex())) == told
    assert (charter["settled_by"], machine["settled_by"]) == ("admin", "admin")  # whose own charter is forked, too


def test_a_machine_s_fork_is_settled_by_its_town_and_with_its_charter_by_who_settles_that() -> None:
    plane, (one, two) = federation(Role.WRITER)
    twin, draft = copy_of(one), admission_draft(KEY, Admission("mill", Role.WRITER), "ada")
    write(one, plane, "here")
    write(twin, plane, "there")
    send(one, two, plane)
    send(twin, two, plane)
    assert [(each["kind"], each["settled_by"]) for each in Api(two).call(Forks())] == [("replica", "town")]
    one.commit(lambda unit: write_charter(unit, [draft], plane_of(one, plane)))
    twin.commit(lambda unit: write_charter(unit, [draft], plane_of(twin, plane)))
    send(one, two, plane)
    send(twin, two, plane)
    assert {each["kind"]: each["settled_by"] for each in Api(two).call(Forks())} == {
        "charter": "recovery", "replica": "recovery",
    }  # fmt: skip


def test_a_founder_s_charter_is_settled_by_the_recovery_key_and_that_one_s_by_nobody() -> None:
    plane, (one, two) = federation(Role.WRITER)
    twin, draft = copy_of(one), admission_draft(KEY, Admission("mill", Role.WRITER), "ada")
    one.commit(lambda unit: write_charter(unit, [draft], plane_of(one, plane)))
    twin.commit(lambda unit: write_charter(unit, [draft], plane_of(twin, plane)))
    send(one, two, plane)
    send(twin, two, plane)
    (charter,) = (each for each in Api(two).call(Forks()) if each["kind"] == "charter")
    assert (charter["settled_by"], charter["is_settled"]) == ("recovery", False)
    paper = SeedSigner(seed("town 0 recovery"))
    two.commit(lambda unit: recover(unit, plane_of(two, plane), paper))
    assert {each["is_settled"] for each in Api(two).call(Forks()) if each["kind"] == "charter"} == {True}
    one.commit(lambda unit: recover(unit, plane_of(one, plane), paper))
    send(one, two, plane)
    (words,) = (each for each in Api(two).call(Forks()) if each["author"] == key_text(paper.public))
    assert (words["settled_by"], words["is_settled"]) == ("nobody", False)


def test_a_fork_is_settled_by_the_beginnings_of_names(forked: tuple[bytes, Member, Member]) -> None:
    plane, one, two = forked
    head = feed(two, plane, town_key(two)).head.hex()
    branch = feed(two, plane, two.id).head.hex()
    done = Api(one).call(SettleFork(actor="ada", author=key_text(two.id)[:8], branch=branch[:8]))
    assert (done["kind"], done["branch"], done["dropped"]) == ("replica", branch, 1)
    request = SettleFork(actor="ada", author=key_text(town_key(two))[:8], branch=head[:8])
    done = Api(one).call(request)
    assert (done["kind"], done["branch"], done["replicas"]) == ("charter", head, [key_text(two.id)])
    assert next(each for each in Api(one).call(Forks()) if each["kind"] == "charter")["is_settled"]


def test_machines_that_are_left_out_are_named_by_their_keys(forked: tuple[bytes, Member, Member]) -> None:
    plane, one, two = forked
    head = feed(two, plane, town_key(two)).head.hex()
    key = key_text(town_key(two))
    with pytest.raises(MootError) as raised:
        Api(one).call(SettleFork(actor="ada", author=key, branch=head, without=("nobody",)))
    assert raised.value.code is Code.NOT_FOUND
    done = Api(one).call(SettleFork(actor="ada", author=key, branch=head, without=(key_text(two.id)[:8],)))
    assert done["replicas"] == []


def test_what_waits_of_a_forked_machine_goes_only_when_people_say_so(forked: tuple[bytes, Member, Member]) -> None:
    plane, one, two = forked
    branch = feed(two, plane, two.id).head.hex()
    write_ahead(two, plane)
    one.take(two.batches(plane=plane_of(two, plane).number)[-1])
    request = SettleFork(actor="ada", author=key_text(two.id), branch=branch)
    with pytest.raises(MootError) as raised:
        Api(one).call(request)
    assert raised.value.code is Code.CONFLICT
    request.drop = True
    assert Api(one).call(request)["branch"] == branch


def test_who_is_not_forked_is_not_settled(forked: tuple[bytes, Member, Member]) -> None:
    _, one, _ = forked
    for typed in (key_text(one.id), "abc"):
        with pytest.raises(MootError) as raised:
            Api(one).call(SettleFork(actor="ada", author=typed, branch="ffff"))
        assert raised.value.code is Code.NOT_FOUND
