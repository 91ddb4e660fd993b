"""TOML that somebody wrote is read with errors that say where."""

import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.limits import TOML_DIGITS, TOML_KEY_PARTS, TOML_NESTING
from moot_protocol.text.toml_text import (
    DocumentError,
    Table,
    lines_of_tables,
    quoted,
    read_toml,
)


def refused(text: str, lines_before: int = 0) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_toml(text, lines_before)
    return caught.value


def test_what_is_no_toml_is_refused_with_its_line() -> None:
    error = refused("a = 1\nb = = 2\n")
    assert error.line == 2
    assert error.message.startswith("line 2: it is no TOML: ")
    assert "(at line" not in error.message


def test_lines_before_the_toml_are_counted() -> None:
    assert refused("a = = 1", lines_before=3).line == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 5000, "it is nested too deeply to be read"),
        (".".join("a" * 5000) + " = 1", f"a key of more than {TOML_KEY_PARTS} parts"),
        ("a = " + "9" * 5000, f"a number of more than {TOML_DIGITS} digits"),
    ],
    ids=["deep", "long key", "long number"],
)
def test_what_no_parser_of_ours_takes_is_refused_in_words_of_ours(text: str, problem: str) -> None:
    assert refused(text).message == f"line 1: {problem}"


@pytest.mark.parametrize("end", ["abc", "é", "-1", ".x", " = 3", "='x", ""])
@pytest.mark.parametrize("begin", ["a = ", "version = [", "a = 1\nb = "])
def test_digits_without_end_are_refused_whatever_follows_them(begin: str, end: str) -> None:
    assert refused(f"{begin}{'1' * 5000}{end}").message


def test_a_field_of_another_type_is_refused_by_its_path() -> None:
    table = Table({"steps": [{"id": 1}]}).tables("steps", [7])[0]
    with pytest.raises(DocumentError) as caught:
        table.text("id")
    assert (caught.value.line, caught.value.field) == (7, "steps[0].id")
    assert caught.value.message == "line 7, steps[0].id: it must be text"


def test_true_is_no_number_and_a_number_is_not_true() -> None:
    table = Table({"flag": True, "number": 1})
    assert table.flag("flag")
    assert table.number("number") == 1
    with pytest.raises(DocumentError, match="a whole number"):
        table.number("flag")
    with pytest.raises(DocumentError, match="true or false"):
        table.flag("number")


def test_what_is_absent_is_empty() -> None:
    table = Table({})
    assert (table.text("a"), table.number("b"), table.flag("c"), table.texts("d")) == ("", None, False, ())
    assert table.tables("e") == []
    assert table.named_texts("f") == {}


@pytest.mark.parametrize(("method", "value"), [("texts", ["a", 1]), ("texts", "a"), ("tables", [1]), ("tables", {})])
def test_lists_hold_one_sort_of_thing(method: str, value: object) -> None:
    with pytest.raises(DocumentError, match="it must be"):
        getattr(Table({"field": value}), method)("field")


def test_a_table_of_texts_holds_texts_only() -> None:
    assert Table({"run": {"b": "2", "a": "1"}}).named_texts("run") == {"b": "2", "a": "1"}
    with pytest.raises(DocumentError, match=r"run\.a: it must be text"):
        Table({"run": {"a": 1}}).named_texts("run")


def test_what_nobody_took_is_told() -> None:
    table = Table({"a": "x", "b": "y"})
    table.text("a")
    assert table.others() == {"b": "y"}


def test_lines_of_tables_are_told_only_where_they_are_certain() -> None:
    text = '[[steps]]\nid = "a"\n\n  [[ steps ]]\nid = "b"\n'
    assert lines_of_tables(text, "steps") == [1, 4]
    tables = Table(read_toml(text)).tables("steps", lines_of_tables(text, "steps"))
    assert [table.line for table in tables] == [1, 4]
    with_string = 'note = """\n[[steps]]\n"""\n[[steps]]\nid = "a"\n'
    tables = Table(read_toml(with_string)).tables("steps", lines_of_tables(with_string, "steps"))
    assert [table.line for table in tables] == [0]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["\x7f", "\x00\x1f", "😀", '"\\\n\t']))
def test_a_quoted_text_is_read_as_it_was(text: str) -> None:
    assert read_toml(f"a = {quoted(text)}") == {"a": text}


# -- What would take for ever ------------------------------------------------------------------------------------
LONG = ".".join("a" * (TOML_KEY_PARTS + 1))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"[{LONG}]",
        f"[[ {LONG} ]]",
        f"x = {{{LONG} = 1}}",
        " . ".join(["'a.b'", '"c\\"d"', "e"] * TOML_KEY_PARTS) + " = 1",
        ".".join("a" * 12_000) + " = 1",
        "x = " + "[" * 30_000,
        "x = " + "{y = " * 10_000,
    ],
)
def test_keys_of_many_parts_and_deep_values_are_refused_before_they_are_read(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_toml("# one\n" + text, 5)
    assert caught.value.line == 7


@pytest.mark.parametrize(
    "text",
    [
        f"{'.'.join('a' * TOML_KEY_PARTS)} = 1",
        f"x = '{LONG}'  # {LONG}",
        f'x = "\\"{LONG}"',
        f'x = """\n"" \\""" {LONG}"""""',
        f"x = '''\n it's '' {LONG}'''''",
        f"x = {'[' * TOML_NESTING}{']' * TOML_NESTING}",
        "".join(f"x{at} = '[{{'\n" for at in range(2 * TOML_NESTING)),
        "".join(f"[a{at}]\nb = [1.5, {{c.d = 1979-05-27T07:32:00.5}}]\n" for at in range(2 * TOML_NESTING)),
    ],
)
def test_dots_and_brackets_inside_texts_are_neither_keys_nor_depth(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text)


LONGEST = "9" * TOML_DIGITS
TOO_LONG = "1_" + "_".join(LONGEST)


@pytest.mark.parametrize(
    "text",
    [
        f"x = {TOO_LONG}",
        f"x = -{TOO_LONG}",
        f"x = +{TOO_LONG}",
        f"x = [1, {TOO_LONG}]",
        f"x = [{TOO_LONG}]",
        f"x = {{y = {TOO_LONG}}}",
        f"x={TOO_LONG}# one\ny = 1",
    ],
)
def test_a_number_of_many_digits_is_refused_with_its_line(text: str) -> None:
    error = refused("# one\n" + text, 5)
    assert (error.line, error.problem) == (7, f"a number of more than {TOML_DIGITS} digits")


@pytest.mark.parametrize(
    "text",
    [
        f"x = {LONGEST}",
        f"x = -{LONGEST}",
        f"x = {'_'.join(LONGEST)}",
        f"x = 0x{LONGEST}9",
        f"x = 0.{LONGEST}9",
        f"x = {LONGEST}9.5",
        f"x = '{LONGEST}9'  # {LONGEST}9",
        f"{LONGEST}9 = 1",
        f"x = {{{LONGEST}9\t= 1}}",
        f"x.{LONGEST}9.y = 1",
    ],
)
def test_what_has_as_many_digits_and_is_no_number_or_none_that_is_whole_and_decimal_is_read(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text)


def test_the_longest_number_is_read_by_a_python_that_was_told_to_read_as_few_digits_as_it_lets_itself_be_told() -> None:
    assert sys.int_info.str_digits_check_threshold >= TOML_DIGITS
