"""The table of kinds: which field is read how."""

import pytest

from moot_protocol.issues.issue import SHAPES
from moot_protocol.limits import KEY_BYTES, KEYS_PER_EVENT, KIND_BYTES
from moot_protocol.merge.kinds import CHARTER_KINDS, ISSUE, KINDS, SET_LIKE, UNKNOWN_FIELD, Policy, Role, field_of

FIELDS = [(kind, key) for kind, keys in KINDS.items() for key in keys]
FREE_TEXT = ("description", "design", "acceptance_criteria", "notes")


@pytest.mark.parametrize(
    ("kind", "key", "policy"),
    [
        (ISSUE, "title", Policy.LATEST),
        (ISSUE, "status", Policy.LATEST),
        (ISSUE, "priority", Policy.LATEST),
        (ISSUE, "issue_type", Policy.LATEST),
        (ISSUE, "due_at", Policy.LATEST),
        (ISSUE, "deleted", Policy.LATEST),
        (ISSUE, "assignee", Policy.EARLIEST),
        (ISSUE, "labels", Policy.UNION),
        (ISSUE, "edges", Policy.UNION),
        (ISSUE, "comments", Policy.UNION),
        (ISSUE, "metadata", Policy.KEYED),
        (ISSUE, "leases", Policy.UNION),
        *[(ISSUE, key, Policy.MAXIMUM) for key in ("created_at", "updated_at", "started_at", "closed_at")],
        (ISSUE, "compaction_level", Policy.MAXIMUM),
        ("formula", "document", Policy.VERSION),
        ("template", "document", Policy.KEEP_BOTH),
        ("role", "document", Policy.REVIEW),
        ("adoption", "content", Policy.UNION),
        ("usage", "amount", Policy.TOTAL),
        ("message", "acks", Policy.UNION),
        ("nudge", "acks", Policy.UNION),
        ("lease", "claims", Policy.UNION),
        ("lease", "terms", Policy.KEYED),
        *[(ISSUE, key, Policy.TEXT) for key in FREE_TEXT],
    ],
)
def test_a_field_is_read_by_the_policy_it_was_designed_for(kind: str, key: str, policy: Policy) -> None:
    assert field_of(kind, key).policy is policy


def test_kinds_and_keys_are_names_an_event_can_hold() -> None:
    for kind, key in FIELDS:
        for name, most in ((kind, KIND_BYTES), (key, KEY_BYTES)):
            assert 0 < len(name) <= most, (kind, key)
            assert name.isascii(), (kind, key)
            assert name.isidentifier(), (kind, key)


def test_all_fields_of_an_issue_fit_one_event() -> None:
    assert len(KINDS[ISSUE]) <= KEYS_PER_EVENT


@pytest.mark.parametrize("key", [*FREE_TEXT, "comments"])
def test_free_text_stays_out_of_the_record(key: str) -> None:
    assert not field_of(ISSUE, key).inline


def test_only_admins_write_roles_and_every_writer_all_else() -> None:
    assert {kind for kind, key in FIELDS if field_of(kind, key).writer is not Role.WRITER} == {"role"}
    assert field_of("role", "document").writer is Role.ADMIN


def test_rights_grow_from_reader_to_admin() -> None:
    assert Role.READER.rank < Role.WRITER.rank < Role.ADMIN.rank


@pytest.mark.parametrize(("kind", "key"), [("issue", "of_a_later_version"), ("of_a_later_version", "title")])
def test_what_a_later_version_added_is_kept_as_a_register(kind: str, key: str) -> None:
    field = field_of(kind, key)
    assert field is UNKNOWN_FIELD
    assert field.policy not in SET_LIKE
    assert not field.inline


def test_no_kind_of_the_charters_is_one_of_the_town_s_work() -> None:
    assert not CHARTER_KINDS & KINDS.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_every_field_that_a_document_shows_stands_in_the_table(name: str) -> None:
    assert name in KINDS[ISSUE]
    assert field_of(ISSUE, name).policy not in SET_LIKE
