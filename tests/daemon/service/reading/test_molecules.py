"""A formula can be poured once this town has written or adopted it, and not before."""

from moot_protocol.errors import Code
from moot_protocol.requests.documents import AdoptDocument, NewDocument, ShowDocument
from moot_protocol.requests.molecules import AdoptedFormula
from moot_testkit.towns.documents import SHARED, formula_text, share, towns_sharing


def test_a_towns_own_formula_is_answered_and_anothers_only_when_adopted() -> None:
    one, two = towns_sharing("one", "two")
    one.do(NewDocument(actor="ada", kind="formula", name="ship", text=formula_text()))
    assert one.ask(AdoptedFormula(name="formula/ship"))["text"] == formula_text()
    share(one, two)
    assert two.refusal(AdoptedFormula(name="ship")) is Code.DENIED
    assert two.refusal(AdoptedFormula(name="none")) is Code.NOT_FOUND
    shown = two.ask(ShowDocument(name="ship"))
    two.do(AdoptDocument(actor="bob", name="ship", content=shown["content"]))
    assert two.ask(AdoptedFormula(name="ship"))["text"] == formula_text()


def test_a_formula_that_one_plane_has_is_found_there_and_of_several_that_of_the_plane_named() -> None:
    one, _ = towns_sharing("one", "two")
    one.do(NewDocument(actor="ada", kind="formula", name="ship", text=formula_text(), plane="ledger"))
    assert one.ask(AdoptedFormula(name="ship"))["plane"] == one.replica.ledger.id.hex()
    assert one.refusal(AdoptedFormula(name="ship", plane=SHARED)) is Code.NOT_FOUND
    one.do(NewDocument(actor="ada", kind="formula", name="ship", text=formula_text(version="2.0.0"), plane=SHARED))
    assert one.ask(AdoptedFormula(name="ship"))["text"] == formula_text(version="2.0.0"), "as for any document"
    for plane, version in (("ledger", "1.0.0"), (SHARED, "2.0.0")):
        assert one.ask(AdoptedFormula(name="ship", plane=plane))["text"] == formula_text(version=version)
