"""The little YAML of other tools' access files: read as every parser would, or refused with its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.access.yaml import read_yaml
from moot_protocol.text.toml_text import DocumentError

SAMPLE = """\
# who may do what
users:
  - name: alice   # the founder
    role: admin
    permissions: ["*", 'rig:read', crew:*]
  - name: "bob builder"
    role: user
    uid: 1001
    restrictions:
    - no:*polecat*
    - "no:a # b"
"""


def test_a_list_of_users_is_read() -> None:
    assert read_yaml(SAMPLE) == {
        "users": [
            {"name": "alice", "role": "admin", "permissions": ["*", "rig:read", "crew:*"]},
            {"name": "bob builder", "role": "user", "uid": 1001, "restrictions": ["no:*polecat*", "no:a # b"]},
        ]
    }


def test_users_by_name_are_read() -> None:
    text = "---\nusers:\n  alice:\n    role: reader\n  gastown/bob:\n    role: user\n    permissions: []\n"
    assert read_yaml(text) == {
        "users": {"alice": {"role": "reader"}, "gastown/bob": {"role": "user", "permissions": []}}
    }


def test_a_document_without_words_says_nothing() -> None:
    assert read_yaml("# nothing\n\n") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("users:\n  a: 1\n  a: 2", 3),  # one of both would be lost
        ("users:\n\t- a", 2),
        ("role: *alias", 1),
        ("role: &anchor x", 1),
        ("role: !tag x", 1),
        ("role: |\n  text", 1),
        ("role: {a: b}", 1),
        ("role: yes", 1),
        ("role: No", 1),
        ("role: 0x1F", 1),
        ("uid: 0755", 1),
        ("at: 12:30", 1),
        ("role: a: b", 1),
        ("role:", 1),
        ("list: [a,\n  b]", 1),
        ("list: [a b: c]", 1),
        ("list: [[a]]", 1),
        ('role: "a\\"b"', 1),
        ("role: 'it''s'", 1),
        ("users:\n    a: b\n  c: d", 3),
        ("- a\nb: c", 2),
        ("just words", 1),
        ("- *", 1),
        ("- - a", 1),
        ("a:\n b:\n  c:\n   d:\n    e:\n     f:\n      g:\n       h:\n        i: j", 9),
    ],
)
def test_what_might_mean_something_else_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml(text)
    assert caught.value.line == line


@given(st.text("ab:-*[]\"'#&! \n,0", max_size=40))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with suppress(DocumentError):
        assert isinstance(read_yaml(text), dict | list)
