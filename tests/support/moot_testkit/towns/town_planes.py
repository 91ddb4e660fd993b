"""Planes of several towns for tests by example: whoever is let in has a replica of two events."""

from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Accepted
from moot_protocol.trust.towns import TownStanding
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, note
from moot_testkit.naive.settlement import Settlement, settle
from moot_testkit.naive.settling import held


class Plane:
    """A founder, towns that it lets in as admins, one replica of two events for each, and whatever comes."""

    def __init__(self, *names: str) -> None:
        self.founder = Town()
        self.guests = [self.founder.guest(name) for name in names]
        for guest in self.guests:
            self.founder.admit(guest)
        self.towns: list[Town] = [self.founder, *self.guests]
        self.ones = [town.replica("one", Role.ADMIN, note()) for town in self.towns]
        self.more: list[FeedWriter] = []

    def settled(self) -> Settlement:
        """What is accepted of all that was written."""
        charters = [town.charter for town in self.towns]
        return settle(self.founder.plane, held(*charters, *self.ones, *self.more, town=self.founder))

    def of(self, feed: FeedWriter | Town) -> Accepted:
        """What is accepted of a feed, of a town's charter."""
        return self.settled().accepted[feed.charter.author if isinstance(feed, Town) else feed.author]

    def standing(self, town: Town) -> TownStanding:
        """Where a town stands."""
        return self.settled().towns[town.key.public]

    def guest(self, name: str, by: Town) -> Guest:
        """A town that another one lets in, with a replica of its own."""
        guest = self.founder.guest(name)
        by.admit(guest)
        self.towns.append(guest)
        self.ones.append(guest.replica("one", Role.ADMIN, note()))
        return guest


def below(*names: str) -> tuple[Plane, list[Town]]:
    """Towns that let in one another in this order, below the founder."""
    plane = Plane()
    for name in names:
        plane.guest(name, plane.towns[-1])
    return plane, plane.towns


def recovering() -> tuple[Plane, Guest]:
    """A founder with one guest, and the recovery key's charter."""
    plane = Plane("guest")
    paper = Guest(plane.founder, "paper", key=plane.founder.recovery)
    plane.towns.append(paper)
    return plane, paper
