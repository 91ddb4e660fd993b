"""What is told of a document tells where it comes from."""

import pytest
from msgspec import structs

from moot_protocol.documents.document import FORMULA, ROLE, TEMPLATE, Content, parse_document
from moot_protocol.ids import key_text
from moot_protocol.log.event import Draft, Write
from moot_protocol.requests.documents import DocumentHistory
from moot_protocol.text.toml_text import DocumentError
from moot_testkit.towns.documents import (
    SHARED,
    adopt,
    formula_text,
    listed,
    new,
    publish,
    role_text,
    share,
    show,
    template_text,
    towns_sharing,
)
from moot_testkit.towns.engine import START_MS, Desk
from mootd.engine.documents import reading
from mootd.engine.membership.towns import name_town

RUNNING = 'title = "Reviewer"\ncommands = {test = "make test"}\nhooks = {start = "moot ready"}'


def test_every_text_has_its_origin_beside_it() -> None:
    ada, bea = towns_sharing("ada", "bea")
    with ada.replica.transaction() as unit:
        name_town(unit, ada.replica.plane_named(SHARED), "Adaville")
    new(ada, ROLE, "reviewer", role_text(), actor="ann")
    share(ada, bea)
    origin = {
        "town": key_text(ada.replica.ledger.town),
        "town_name": "Adaville",
        "replica": key_text(ada.replica.id),
        "actor": "ann",
        "at": START_MS,
        "is_own": False,
    }
    for told in (listed(bea)[0], show(bea, "reviewer"), bea.ask(DocumentHistory(name="reviewer"))[0]):
        assert {name: told[name] for name in origin} == origin
    assert show(ada, "reviewer")["is_own"]


def test_of_two_towns_on_one_machine_the_one_that_it_is_at_home_in_is_told_apart() -> None:
    ada, _ = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text())
    assert (show(ada, "reviewer")["is_own"], show(ada, "reviewer")["is_home"]) == (True, True)
    ledger = ada.replica.ledger
    ada.replica.planes[ledger.number] = structs.replace(ledger, town=bytes(32))  # as if it had joined another town's
    told = listed(ada)[0]
    assert (told["is_own"], told["is_home"]) == (True, False)


def test_what_a_role_runs_is_told_apart_from_its_text() -> None:
    ada, bea = towns_sharing("ada", "bea")
    new(ada, ROLE, "reviewer", role_text(front=RUNNING))
    share(ada, bea)
    told = show(bea, "reviewer")
    assert (told["commands"], told["hooks"], told["runs"]) == ({"test": "make test"}, {"start": "moot ready"}, True)
    assert told["diff"].startswith("--- nothing\n+++ reviewer of town ")
    assert '+commands = {test = "make test"}' in told["diff"]
    new(ada, TEMPLATE, "bug", template_text())
    assert not show(ada, "bug")["runs"]


def test_history_tells_every_version_and_what_became_of_it() -> None:
    ada, bea = towns_sharing("ada", "bea")
    new(ada, FORMULA, "ship", formula_text())
    share(ada, bea)
    adopt(bea, "ship")
    for desk, version in ((ada, "1.1.0"), (bea, "1.2.0")):
        desk.clock.advance(1)
        publish(desk, "ship", formula_text(version=version))
    share(ada, bea)
    told = bea.ask(DocumentHistory(name="ship"))
    assert [(row["version"], row["state"], row["standing"]) for row in told] == [
        ("1.2.0", "shown", "own"),
        ("1.1.0", "live", "not_adopted"),
        ("1.0.0", "replaced", "adopted"),
    ]
    assert told[0]["bytes"] == len(formula_text(version="1.2.0"))
    assert bea.ask(DocumentHistory(name="ship", limit=1)) == told[:1]


def test_a_formula_that_says_another_version_than_it_stands_under_is_told_of() -> None:
    ada = Desk().found()

    with ada.replica.transaction() as unit:
        value = ["9.0.0", formula_text()]
        unit.append(ada.replica.ledger.number, Draft(FORMULA, "ship", "eve", (Write("document", value),)))
    assert show(ada, "ship")["problem"] == "it was published as version 9.0.0 and says 1.0.0"


def test_a_town_that_was_admitted_is_called_as_it_was_admitted() -> None:
    ada, bea = towns_sharing("ada", "bea")
    new(bea, ROLE, "reviewer", role_text())
    share(ada, bea)
    assert show(ada, "reviewer")["town_name"] == "bea town"


def test_a_text_is_read_but_once_for_a_list_however_many_rows_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bea = towns_sharing("ada", "bea")
    for desk, name in ((ada, "one"), (ada, "two"), (bea, "three")):
        new(desk, ROLE, name, role_text("The same"))
    share(ada, bea)
    asked: list[str] = []

    def counted(kind: str, text: str) -> Content:
        asked.append(text)
        return parse_document(kind, text)

    monkeypatch.setattr(reading, "parse_document", counted)
    assert [(row["title"], row["problem"]) for row in listed(ada)] == [("Reviewer", "")] * 3
    assert len(asked) == 1


def test_a_text_that_can_t_be_read_is_tried_but_once_for_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = towns_sharing("ada", "bea")[0]
    new(ada, ROLE, "one", role_text("Well"))
    asked: list[str] = []

    def refusing(kind: str, text: str) -> Content:
        asked.append(text)
        raise DocumentError("a hard one")

    monkeypatch.setattr(reading, "parse_document", refusing)
    assert [(row["title"], row["problem"]) for row in listed(ada)] == [("", "a hard one")]
    assert len(asked) == 1
