"""What a command is."""

from argparse import ArgumentParser, Namespace

from moot.console.command import no_arguments


def test_a_command_without_arguments_knows_none() -> None:
    parser = ArgumentParser(add_help=False)
    no_arguments(parser)
    assert parser.parse_known_args(["more"]) == (Namespace(), ["more"])
