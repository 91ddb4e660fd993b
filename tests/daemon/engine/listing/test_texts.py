"""One long text of an issue is what the whole issue shows of it."""

import pytest

from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.engine.listing.texts import text_of


def text(desk: Desk, field: str = "notes") -> str:
    with desk.replica.read() as reader:
        return text_of(desk.issues(reader), desk.records()["mt-1"], field)


@pytest.mark.parametrize("written", ["", "One", "ü" * 20_000])
def test_it_is_what_was_written_last(written: str) -> None:
    desk = Desk().found()
    desk.create("mt-1", notes="Before", description="Other")
    desk.update("mt-1", notes=written)
    assert text(desk) == written == desk.show("mt-1").get("notes", "")
    assert text(desk, "description") == "Other"
    assert text(desk, "design") == ""


def test_what_was_written_at_once_is_merged_as_everywhere() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1", notes="One\nTwo\nThree")
    exchange(here, there)
    here.update("mt-1", notes="Uno\nTwo\nThree")
    there.update("mt-1", notes="One\nTwo\nTre")
    exchange(here, there)
    assert text(here) == text(there) == here.show("mt-1")["notes"] == "Uno\nTwo\nTre"
