"""What a command is, and arguments that several share: keys are told from flags."""

from argparse import ArgumentParser, Namespace

import pytest

from moot.console.command import key_argument, no_arguments, of_key


def test_a_command_without_arguments_knows_none() -> None:
    parser = ArgumentParser(add_help=False)
    no_arguments(parser)
    assert parser.parse_known_args(["more"]) == (Namespace(), ["more"])


# -- Keys --------------------------------------------------------------------------------------------------------
def parser(*, takes_keys: bool) -> ArgumentParser:
    made = ArgumentParser(add_help=False)
    made.add_argument("other")
    if takes_keys:
        key_argument(made, "key", metavar="KEY", told="whose")
    return made


def test_help_says_how_a_key_is_given_that_begins_with_a_dash() -> None:
    assert "whose; after -- if that begins with -" in parser(takes_keys=True).format_help()


@pytest.mark.parametrize(
    ("argument", "of_any", "of_keys"),
    [
        ("-bcd", False, True),
        ("-bc", False, False),
        (f"-{'b' * 41}", False, True),
        (f"-{'b' * 42}", True, True),
        (f"-{'b' * 43}", False, False),
        ("-b/cd", False, False),
        ("bcde", False, False),
        ("-bcdé", False, False),
    ],
)
def test_only_a_whole_key_is_known_where_none_is_asked_for(argument: str, *, of_any: bool, of_keys: bool) -> None:
    assert bool(of_key(argument, parser(takes_keys=False)._actions)) is of_any
    assert bool(of_key(argument, parser(takes_keys=True)._actions)) is of_keys
