"""Nothing of another town is this town's word before somebody here has adopted it."""

from moot_protocol.documents.document import FORMULA, ROLE, TEMPLATE, content_hash
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.documents import (
    SHARED,
    adopt,
    conflicts,
    documents_on,
    enter,
    formula_text,
    listed,
    new,
    publish,
    role_text,
    settle,
    share,
    show,
    template_text,
    towns_sharing,
)
from moot_testkit.towns.engine import Desk
from mootd.engine.documents.adopted import ADOPTION, CONTENT, adopted_text, adoption_entity, own_ledger
from mootd.engine.exchange.receive import receive
from mootd.engine.membership.charter_writing import adopt_plane, certify, enter_plane
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.state import REPLICA_KEY, TOWN_KEY


def word(desk: Desk, kind: str, name: str, plane: str = SHARED) -> str | None:
    """What this desk's town goes by."""
    with desk.replica.read() as reader:
        return adopted_text(documents_on(desk, reader), desk.replica.plane_named(plane), kind, name)


def standing(desk: Desk, name: str) -> str:
    return str(show(desk, name)["standing"])


def test_what_a_town_wrote_itself_is_its_word_at_once() -> None:
    ada, bea = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    share(ada, bea)
    assert word(ada, ROLE, "reviewer") == role_text()
    assert (standing(ada, "reviewer"), standing(bea, "reviewer")) == ("own", "not_adopted")
    assert word(bea, ROLE, "reviewer") is None
    assert word(ada, ROLE, "nobody") is None


def test_adopting_makes_a_text_this_town_s_word_and_nobody_else_s() -> None:
    ada, bea, cleo = desks = towns_sharing("ada", "bea", "cleo")
    new(ada, ROLE, "reviewer", role_text())
    share(*desks)
    assert adopt(bea, "reviewer")["changed"]
    share(*desks)
    assert word(bea, ROLE, "reviewer") == role_text()
    assert standing(bea, "reviewer") == "adopted"
    assert word(cleo, ROLE, "reviewer") is None
    assert show(bea, "reviewer")["adopted"]["actor"] == "alice"


def test_the_earlier_text_stays_in_force_until_the_new_one_is_adopted() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, FORMULA, "ship", formula_text())
    share(*desks)
    adopt(bea, "ship")
    publish(ada, "ship", formula_text(version="1.1.0", title="Compile"))
    share(*desks)
    shown = show(bea, "ship")
    assert (shown["version"], shown["standing"]) == ("1.1.0", "not_adopted")
    assert '-title = "Build"' in shown["diff"]
    assert '+title = "Compile"' in shown["diff"]
    assert word(bea, FORMULA, "ship") == formula_text()
    adopt(bea, "ship")
    assert word(bea, FORMULA, "ship") == formula_text(version="1.1.0", title="Compile")
    assert show(bea, "ship")["diff"] == ""


def test_a_text_of_one_s_own_stays_in_force_when_another_town_replaces_it() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("Ours."))
    share(*desks)
    publish(bea, "reviewer", role_text("Theirs."))
    share(*desks)
    assert standing(ada, "reviewer") == "not_adopted"
    assert word(ada, ROLE, "reviewer") == role_text("Ours.")
    adopt(ada, "reviewer")
    assert word(ada, ROLE, "reviewer") == role_text("Theirs.")


def test_an_older_text_that_comes_back_is_not_the_word_again() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("Old."))
    share(*desks)
    adopt(bea, "reviewer")
    publish(ada, "reviewer", role_text("New."))
    share(*desks)
    adopt(bea, "reviewer")
    publish(ada, "reviewer", role_text("Old."))
    share(*desks)
    assert standing(bea, "reviewer") == "not_adopted"
    assert word(bea, ROLE, "reviewer") == role_text("New.")


def test_a_text_of_one_s_own_that_another_town_picks_needs_no_adoption() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("One."))
    share(*desks)
    publish(ada, "reviewer", role_text("Two."))
    publish(bea, "reviewer", role_text("Three."))
    share(*desks)
    picked = [value["value"] for value in conflicts(bea)[0]["values"]].index(role_text("Two."))
    settle(bea, "reviewer", picked + 1)
    share(*desks)
    assert (show(ada, "reviewer")["is_own"], standing(ada, "reviewer")) == (False, "adopted")
    assert word(ada, ROLE, "reviewer") == role_text("Two.")


def test_nothing_disputed_of_a_role_is_in_force() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text("Agreed."))
    share(*desks)
    publish(ada, "reviewer", role_text("Ada's."))
    publish(bea, "reviewer", role_text("Bea's."))
    share(*desks)
    assert word(ada, ROLE, "reviewer") == role_text("Agreed.")
    assert word(bea, ROLE, "reviewer") is None
    new(ada, ROLE, "both", role_text("Ada's."))
    new(bea, ROLE, "both", role_text("Bea's."))
    share(*desks)
    assert word(ada, ROLE, "both") is None


def test_versions_of_a_template_are_adopted_one_by_one() -> None:
    ada, bea, cleo = desks = towns_sharing("ada", "bea", "cleo")
    for desk, body in ((ada, "One"), (bea, "Two")):
        new(desk, TEMPLATE, "bug", template_text(body))
        desk.clock.advance(1)
    share(*desks)
    first, second = (row["id"] for row in listed(cleo))
    assert word(bea, TEMPLATE, "bug") == template_text("Two")
    adopt(cleo, second)
    assert word(cleo, TEMPLATE, "bug") == template_text("Two")
    adopt(cleo, first)
    assert word(cleo, TEMPLATE, "bug") == template_text("One")
    assert word(cleo, TEMPLATE, second.partition("/")[2]) == template_text("Two")


def test_an_adoption_counts_on_every_machine_of_the_town_that_made_it() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    share(*desks)
    second = Desk("second", ada.clock).join(bea)
    second.receive(bea.batches())
    with second.replica.transaction() as unit:  # decided on the other machine, of what only this one holds
        plane = bea.replica.plane_named(SHARED)
        entity = adoption_entity(plane, ROLE, "reviewer")
        write = Write(CONTENT, content_hash(role_text()))
        unit.append(second.replica.ledger.number, Draft(ADOPTION, entity, "bob", (write,)))
    assert word(bea, ROLE, "reviewer") is None
    bea.receive(second.batches())
    assert word(bea, ROLE, "reviewer") == role_text()


def join(machine: Desk, town: Desk, plane: str) -> None:
    """Let a machine onto a plane on which a desk's town is."""
    row, key = town.replica.plane_named(plane), town.replica.signer(TOWN_KEY)
    with machine.replica.transaction() as unit:
        number = adopt_plane(unit, row.id, PlaneKind.LEDGER, plane, key.public)
        for batch in town.batches(plane):
            receive(unit, batch)
        enter_plane(unit, number, certify(key, row.id, machine.replica.id, machine.keys, Role.WRITER))


def decides_on(desk: Desk) -> str:
    with desk.replica.read() as reader:
        ledger = own_ledger(documents_on(desk, reader))
    return "" if ledger is None else ledger.name


def test_machines_of_a_town_decide_on_one_ledger_in_whichever_order_they_joined() -> None:
    ada, bea = towns_sharing("ada", "bea")
    enter(bea, ada, Role.WRITER, "bridge", plane="ledger")
    second = Desk("second", ada.clock)
    second.keys.create(REPLICA_KEY)
    assert decides_on(second) == ""
    join(second, bea, "bridge")
    assert decides_on(second) == "bridge"
    join(second, bea, "ledger")
    assert decides_on(second) == decides_on(bea) == "ledger"


def test_a_town_decides_on_a_ledger_of_its_own_also_where_another_town_s_is_older() -> None:
    ada = Desk("ada").found()
    ada.clock.advance(1000)
    bea = Desk("bea", ada.clock).found()
    enter(bea, ada, Role.WRITER, "bridge", plane="ledger")
    assert decides_on(bea) == "ledger"
    rotated(bea)
    assert decides_on(bea) == "ledger"


def test_what_was_decided_last_goes_before_what_stands_on_other_ledgers() -> None:
    ada, bea = towns_sharing("ada", "bea")
    enter(bea, ada, Role.WRITER, "bridge", plane="ledger")
    new(ada, ROLE, "reviewer", role_text("One."))
    share(ada, bea)
    plane = bea.replica.plane_named(SHARED)
    bridge = bea.replica.plane_named("bridge").number
    write = Write(CONTENT, content_hash(role_text("One.")))
    with bea.replica.transaction() as unit:  # as a machine does that holds no other ledger
        unit.append(bridge, Draft(ADOPTION, adoption_entity(plane, ROLE, "reviewer"), "bob", (write,)))
    assert word(bea, ROLE, "reviewer") == role_text("One.")
    publish(ada, "reviewer", role_text("Two."))
    share(ada, bea)
    bea.clock.advance(1)
    adopt(bea, "reviewer")
    publish(ada, "reviewer", role_text("One."))
    share(ada, bea)
    assert standing(bea, "reviewer") == "not_adopted"
    assert word(bea, ROLE, "reviewer") == role_text("Two.")


def test_what_another_town_writes_on_our_ledger_neither_adopts_nor_takes_back() -> None:
    ada, bea = desks = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    new(ada, ROLE, "builder", role_text("You build."))
    share(*desks)
    adopt(bea, "builder")
    eve = Desk("eve", ada.clock).found()
    enter(eve, bea, Role.WRITER, "eve", plane="ledger")
    plane = bea.replica.plane_named(SHARED)
    theirs = eve.replica.plane_named("eve").number
    with eve.replica.transaction() as unit:
        for name, text in (("reviewer", role_text()), ("builder", role_text("Else."))):
            entity = adoption_entity(plane, ROLE, name)
            eid = unit.views.find(theirs, ADOPTION, entity)
            record = None if eid is None else unit.views.record(eid)
            over = [] if record is None else unit.entities().dots(record, CONTENT)
            write = Write(CONTENT, content_hash(text), over)
            unit.append(theirs, Draft(ADOPTION, entity, "eve", (write,)))
    bea.receive(eve.batches("eve"))
    assert {record.entity for record in bea.records(ADOPTION).values()} == {
        adoption_entity(plane, ROLE, name) for name in ("reviewer", "builder")
    }
    assert word(bea, ROLE, "reviewer") is None
    assert word(bea, ROLE, "builder") == role_text("You build.")


def rotated(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        rotate_town(unit)


def test_what_a_town_wrote_and_adopted_under_a_key_that_it_gave_up_itself_stays_in_force() -> None:
    ada, bea = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    new(ada, FORMULA, "ship", formula_text())
    new(bea, ROLE, "writer", role_text("You write."))
    share(ada, bea)
    adopt(ada, "writer")
    adopt(bea, "reviewer")
    before = decides_on(ada)
    rotated(ada)
    share(ada, bea)
    assert decides_on(ada) == before
    assert [word(ada, ROLE, name) for name in ("reviewer", "writer")] == [role_text(), role_text("You write.")]
    assert word(ada, FORMULA, "ship") == formula_text()
    assert (standing(ada, "reviewer"), standing(ada, "writer")) == ("own", "adopted")
    told = show(ada, "reviewer")
    assert (told["is_own"], told["is_home"]) == (True, True)
    assert word(bea, ROLE, "reviewer") == role_text()
    assert standing(bea, "reviewer") == "adopted"
    new(bea, ROLE, "planner", role_text("You plan."))
    share(ada, bea)
    assert word(ada, ROLE, "planner") is None
