"""Writing documents through the service: durable, once for each key, and none for a dry run."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.documents import DOCUMENT_REQUESTS, NewDocument, PublishDocument, ShowDocument
from moot_testkit.towns.documents import role_text
from moot_testkit.towns.town import Api, make_api
from mootd.service.reading.documents import DOCUMENT_READS
from mootd.service.writing.documents import DOCUMENT_WRITES


def test_every_request_about_documents_is_answered_as_a_read_or_as_a_write() -> None:
    assert set(DOCUMENT_WRITES) == {request for request in DOCUMENT_REQUESTS if issubclass(request, Mutation)}
    assert set(DOCUMENT_READS) == set(DOCUMENT_REQUESTS) - set(DOCUMENT_WRITES)


def test_a_document_outlives_a_restart() -> None:
    api = make_api()
    api.call(NewDocument(actor="ada", kind="role", name="reviewer", text=role_text()))
    api.member.restart()
    assert Api(api.member).call(ShowDocument(name="reviewer"))["text"] == role_text()


def test_a_request_that_comes_twice_with_its_key_is_carried_out_once() -> None:
    api = make_api()
    request = NewDocument(actor="ada", kind="role", name="reviewer", text=role_text())
    assert api.call(request, key="k") == api.call(request, key="k")
    with pytest.raises(MootError) as caught:
        api.call(request)
    assert caught.value.code is Code.EXISTS


def test_a_dry_run_answers_and_leaves_nothing() -> None:
    api = make_api()
    api.call(NewDocument(actor="ada", kind="role", name="reviewer", text=role_text("One.")))
    request = PublishDocument(actor="ada", name="reviewer", text=role_text("Two."), dry_run=True)
    assert api.call(request)["text"] == role_text("Two.")
    assert api.call(ShowDocument(name="reviewer"))["text"] == role_text("One.")
