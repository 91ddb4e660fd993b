"""What is a town's own word, and what of it is lost when the town is another one."""

from msgspec.structs import replace

from moot_protocol.documents.document import FORMULA, ROLE
from moot_protocol.requests.issues import InitProject
from moot_protocol.requests.memories import Forget, Remember
from moot_testkit.towns.documents import adopt, formula_text, new, role_text, share, towns_sharing
from moot_testkit.towns.engine import PROJECT, Desk
from mootd.engine.recovery.own_word import OwnWord, own_word


def word(desk: Desk, *, as_another_town: bool = False) -> OwnWord:
    rows = list(desk.replica.planes.values())
    if as_another_town:
        rows = [replace(row, town=b"t" * 32) for row in rows]
    with desk.replica.transaction() as unit:
        return own_word(unit, rows)


def test_it_is_what_the_town_remembers_and_the_documents_that_it_goes_by() -> None:
    ada, bea = towns_sharing("ada", "bea")
    ada.do(InitProject(actor="alice", prefix=PROJECT))
    for key in ("a", "b"):
        ada.do(Remember(actor="alice", project=PROJECT, key=key, text="kept"))
    ada.do(Forget(actor="alice", project=PROJECT, key="b"))
    new(ada, FORMULA, "ship", formula_text())
    new(bea, ROLE, "reviewer", role_text())
    share(ada, bea)
    ledger, shared = ada.replica.ledger.number, ada.replica.plane_named("shared").number
    assert word(ada) == OwnWord(frozenset({(ledger, f"{PROJECT}/a")}), frozenset({(shared, "formula/ship")}))
    adopt(ada, "reviewer")
    now = word(ada)
    assert now.documents == {(shared, "formula/ship"), (shared, "role/reviewer")}
    assert now.lost_in(now) == (0, 0)
    assert now.lost_in(word(ada, as_another_town=True)) == (1, 2)
