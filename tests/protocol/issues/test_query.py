"""The query language: what reads as which tree, where an error points, and that any text gives one or the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.query import FIELDS, And, Compare, Moment, Node, Not, Or, mentions, parse, show

DAY_MS = 24 * 3600 * 1000
NOW_MS = 1_700_000_000_000


def shown(text: str) -> str:
    return show(parse(text))


def problem(text: str) -> str:
    with pytest.raises(RefusedError) as caught:
        parse(text)
    assert caught.value.code is Code.USAGE
    return caught.value.message


def compared(text: str) -> Compare:
    tree = parse(text)
    assert isinstance(tree, Compare)
    return tree


# -- Trees -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("status=open", "status=open"),
        ("type=1 or label=2", "(type=1 OR label=2)"),
        ("type=1 OR type=2 AND type=3", "(type=1 OR (type=2 AND type=3))"),
        ("(type=1 OR type=2) AND type=3", "((type=1 OR type=2) AND type=3)"),
        ("NOT type=1 AND type=2", "(NOT type=1 AND type=2)"),
        ("not not type = 1", "NOT NOT type=1"),
        ("NOT (type=1 OR type=2)", "NOT (type=1 OR type=2)"),
        ("status==open", "status=open"),
        ("Priority <= P1", "priority<=P1"),
        ('title ~ "two \\"words\\""', 'title~"two \\"words\\""'),
        ("title~'and (or) not'", 'title~"and (or) not"'),
        ("label='OR'", 'label="OR"'),
        ("metadata.Team=core", "metadata.Team=core"),
        ("desc=x AND created_at>7d", "(description=x AND created>7d)"),
    ],
)
def test_a_query_reads_as_its_tree(text: str, tree: str) -> None:
    assert shown(text) == tree


def test_and_binds_more_tightly_than_or_and_not_most_tightly() -> None:
    tree = parse("NOT type=a AND type=b OR type=c")
    assert isinstance(tree, Or)
    both, last = tree.parts
    assert isinstance(both, And)
    assert isinstance(both.parts[0], Not)
    assert isinstance(last, Compare)


def test_priorities_are_numbers_with_or_without_their_letter() -> None:
    assert (compared("priority=P1").value, compared("priority=1").value) == (1, 1)


def test_an_amount_alone_lies_behind_and_one_with_a_plus_ahead() -> None:
    for text, days in (("updated>7d", -7), ("updated>-7d", -7), ("due<+2w", 14), ("due<1m", -30), ("due<1y", -365)):
        value = compared(text).value
        assert isinstance(value, Moment)
        assert value.at(NOW_MS) == NOW_MS + days * DAY_MS


def test_days_begin_at_midnight_utc() -> None:
    for text, days in (("today", 0), ("yesterday", -1), ("tomorrow", 1)):
        value = compared(f"created={text}").value
        assert isinstance(value, Moment)
        assert value.at(NOW_MS) == NOW_MS - NOW_MS % DAY_MS + days * DAY_MS


def test_dates_and_times_are_instants() -> None:
    assert compared("created>1970-01-02").value == Moment(DAY_MS)
    assert compared("created>1970-01-02T01:00:00+01:00").value == Moment(DAY_MS)


def test_what_a_query_speaks_of_is_found_anywhere_in_it() -> None:
    tree = parse("type=a OR NOT (label=b AND status=open)")
    assert mentions(tree, "status")
    assert not mentions(tree, "closed", "title")


# -- Errors ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a field, but the query ends"),
        ("status", "column 7: expected an operator (= != ~ !~), but the query ends"),
        ("status=", "column 8: expected a value, but the query ends"),
        ("status=open priority=1", "column 13: expected AND, OR or the end, not 'priority'"),
        ("status=open AND", "column 16: expected a field, but the query ends"),
        ("(status=open", "column 13: expected AND, OR or `)`, but the query ends"),
        ("status=open)", "column 12: expected AND, OR or the end, not ')'"),
        ("priority=high", "column 10: 'high' is no number"),
        ("status<open", "column 7: status is compared with = != ~ !~, not <"),
        ("pinned=maybe", "column 8: 'maybe' is neither true nor false"),
        ("title='open", "column 7: a quote that doesn't end"),
        ("status=open!", "column 12: '!' makes no sense here"),
        ("due>none", "column 4: none is compared with = and != only"),
    ],
)
def test_an_error_points_at_the_column(text: str, message: str) -> None:
    assert problem(text) == message


def test_an_unknown_field_is_told_which_there_are() -> None:
    assert problem("prio=1").startswith("column 1: 'prio' is no field; there are id, title, ")
    assert len(FIELDS) >= 20


def test_times_that_are_none_are_told_how_to_write_one() -> None:
    assert "column 9: 'whenever' is no time: write 7d (ago)" in problem("updated>whenever")


def test_queries_have_limits() -> None:
    assert "levels" in problem("NOT " * (limits.QUERY_NESTING + 1) + "type=a")
    assert parse("NOT " * limits.QUERY_NESTING + "type=a")
    assert "comparisons" in problem(" OR ".join(["type=a"] * (limits.QUERY_PARTS + 1)))
    with pytest.raises(RefusedError) as caught:
        parse("x" * (limits.QUERY_CHARS + 1))
    assert caught.value.code is Code.LIMIT


# -- Laws --------------------------------------------------------------------------------------------------------
PIECES = st.sampled_from(
    [
        "status",
        "=",
        "!=",
        "<",
        "~",
        "(",
        ")",
        "AND",
        "or",
        "NOT",
        "open",
        '"',
        "'",
        "7d",
        " ",
        "priority",
        "\\",
        "1",
        "x",
        "AND type=a ",
    ]
)
QUERIES = st.recursive(
    st.sampled_from(
        [
            "status=open",
            "Priority <= P1",
            "updated>7d",
            'title ~ "two \\"words\\""',
            "label!='OR'",
            "label='a\\\\ b'",
            "metadata.Team=core",
        ]
    ),
    lambda inner: st.one_of(
        inner.map("NOT {}".format),
        inner.map("({})".format),
        st.lists(inner, min_size=2, max_size=3).map(" AND ".join),
        st.lists(inner, min_size=2, max_size=3).map(" or ".join),
    ),
    max_leaves=6,
)
EDITS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 4), PIECES | st.text(max_size=2)), max_size=2)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    """A query with other characters in the places of some: `(offset, how many go, what comes)`."""
    for at, gone, put in edits:
        text = text[:at] + put + text[at + gone :]
    return text


@given(QUERIES)
def test_a_query_of_the_grammar_is_a_tree_that_is_shown_as_a_query_of_the_same_tree(text: str) -> None:
    tree = parse(text)
    assert without_columns(parse(show(tree))) == without_columns(tree)


@given(st.builds(edited, QUERIES, EDITS) | st.lists(PIECES | st.text(max_size=2)).map(" ".join))
def test_any_text_is_a_tree_or_an_error_that_points_into_it(text: str) -> None:
    try:
        tree = parse(text)
    except RefusedError as error:
        column = int(error.message.split(":")[0].removeprefix("column "))
        assert 1 <= column <= len(text) + 1
    else:
        assert without_columns(parse(show(tree))) == without_columns(tree)


WORDS = st.builds(lambda text: Compare("label", "=", text, text, 1), st.text(min_size=1))
TREES: st.SearchStrategy[Node] = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=6,
)


def without_columns(node: Node) -> Node:
    if isinstance(node, Compare):
        return node._replace(column=0)
    if isinstance(node, Not):
        return Not(without_columns(node.part))
    return type(node)(tuple(map(without_columns, node.parts)))


@given(TREES)
def test_a_tree_shown_as_a_query_reads_as_the_same_tree(tree: Node) -> None:
    assert without_columns(parse(show(tree))) == without_columns(tree)
