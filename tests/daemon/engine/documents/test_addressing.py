"""Which document and which plane are meant: what was typed, and nothing guessed."""

import pytest

from moot_protocol.documents.document import ROLE, TEMPLATE
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.documents import Documents, ShowDocument
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.documents import SHARED, listed, new, role_text, show, template_text
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import TEAM, open_plane


def test_without_a_federation_plane_it_is_the_project_s_ledger(desk: Desk) -> None:
    open_plane(desk, TEAM)
    assert new(desk, ROLE, "reviewer", role_text())["plane"] == "ledger"
    assert new(desk, ROLE, "reviewer", role_text(), home=TEAM)["plane"] == TEAM


def test_the_only_federation_plane_comes_before_the_project_s(desk: Desk) -> None:
    open_plane(desk, SHARED, PlaneKind.FEDERATION)
    assert new(desk, ROLE, "reviewer", role_text(), home="ledger")["plane"] == SHARED
    assert new(desk, ROLE, "reviewer", role_text(), plane="ledger")["plane"] == "ledger"


def test_of_several_federation_planes_one_is_to_be_named(desk: Desk) -> None:
    for name in (SHARED, "partners"):
        open_plane(desk, name, PlaneKind.FEDERATION)
    assert desk.refusal(ShowDocument(name="reviewer")) is Code.AMBIGUOUS
    assert new(desk, ROLE, "reviewer", role_text(), plane="partners")["plane"] == "partners"


def test_a_document_of_another_plane_is_told_of(desk: Desk) -> None:
    new(desk, ROLE, "reviewer", role_text())
    open_plane(desk, SHARED, PlaneKind.FEDERATION)
    with pytest.raises(RefusedError, match="no document reviewer on plane shared") as caught:
        show(desk, "reviewer")
    assert "plane ledger has it" in caught.value.hint
    with pytest.raises(RefusedError, match="no document auditor on plane shared") as unknown:
        show(desk, "auditor")
    assert "`moot doc new KIND NAME` begins one" in unknown.value.hint
    assert show(desk, "reviewer", plane="ledger")["text"] == role_text()


def test_a_list_is_of_all_planes_unless_one_is_named(desk: Desk) -> None:
    new(desk, ROLE, "reviewer", role_text())
    open_plane(desk, SHARED, PlaneKind.FEDERATION)
    new(desk, TEMPLATE, "bug", template_text())
    assert [(row["id"], row["plane"]) for row in listed(desk)] == [
        ("role/reviewer", "ledger"),
        ("template/bug", SHARED),
    ]
    assert [row["id"] for row in listed(desk, plane=SHARED)] == ["template/bug"]
    assert [row["id"] for row in listed(desk, kind=ROLE)] == ["role/reviewer"]
    assert desk.refusal(Documents(kind="recipe")) is Code.INVALID


def test_a_plane_that_never_leaves_the_machine_holds_no_documents(desk: Desk) -> None:
    assert desk.refusal(ShowDocument(name="reviewer", plane="operational")) is Code.INVALID


def test_a_name_of_two_documents_needs_its_kind(desk: Desk) -> None:
    new(desk, ROLE, "bug", role_text())
    new(desk, TEMPLATE, "bug", template_text())
    assert desk.refusal(ShowDocument(name="bug")) is Code.AMBIGUOUS
    assert show(desk, "template/bug")["kind"] == TEMPLATE
    assert desk.refusal(ShowDocument(name="formula/bug")) is Code.NOT_FOUND


def test_a_version_is_named_by_the_beginning_of_its_leaf(desk: Desk) -> None:
    made = new(desk, TEMPLATE, "bug", template_text())
    leaf = made["writes"][0].rpartition(".")[2]
    assert show(desk, f"bug~{leaf[:4]}")["text"] == template_text()
    other = "0000" if leaf[:4] != "0000" else "1111"
    assert desk.refusal(ShowDocument(name=f"bug~{other}")) is Code.NOT_FOUND
    role = new(desk, ROLE, "reviewer", role_text())
    leaf = role["writes"][0].rpartition(".")[2]
    assert desk.refusal(ShowDocument(name=f"reviewer~{leaf[:4]}")) is Code.NOT_FOUND


def test_where_there_is_no_town_there_are_no_documents() -> None:
    assert Desk().refusal(ShowDocument(name="reviewer")) is Code.NOT_READY
