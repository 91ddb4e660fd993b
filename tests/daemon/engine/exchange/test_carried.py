"""What a remote carries: never more than is true, and what is taken back is taken back to the least that was noted."""

from moot_protocol.exchange.messages import Place
from moot_protocol.limits import ASIDE_BATCHES_PER_AUTHOR
from moot_protocol.log.batch import ZEROS, Link
from moot_testkit.bytes.feeds import seed
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import MOST_PLACES, NOTHING, Carried, extend, places_of
from mootd.store.memory_store import MemoryStore

AUTHOR = seed("an author")


def name(text: str) -> bytes:
    return seed(text)


def link(first: int, last: int, prev: str, own: str) -> Link:
    return Link(AUTHOR, first, last, name(prev) if prev else ZEROS, name(own))


def at(*places: tuple[int, str], forked_at: int = 0) -> Carried:
    return Carried(tuple((n, name(text)) for n, text in places), forked_at)


# -- Extending ---------------------------------------------------------------------------------------------------
def test_a_batch_takes_the_place_of_the_one_before_it() -> None:
    assert extend(NOTHING, [link(1, 3, "", "a"), link(4, 4, "a", "b")]) == at((4, "b"))


def test_branches_are_remembered_apart_the_longest_first() -> None:
    known = extend(at((4, "b")), [link(2, 2, "", "other"), link(5, 6, "b", "c"), link(3, 3, "other", "more")])
    assert known == at((6, "c"), (3, "more"))


def test_a_branch_from_the_middle_of_what_is_carried_is_carried() -> None:
    assert extend(at((9, "i")), [link(5, 5, "d", "e'")]) == at((9, "i"), (5, "e'"))


def test_what_stands_behind_a_gap_is_not_carried_before_the_gap_is_filled() -> None:
    late = [link(6, 6, "e", "f"), link(7, 9, "f", "g")]
    assert extend(NOTHING, late) == NOTHING
    assert extend(at((4, "d")), late) == at((4, "d"))
    assert extend(at((4, "d")), [link(5, 5, "d", "e"), *late]) == at((9, "g"))


def test_the_same_again_changes_nothing() -> None:
    feed = [link(1, 1, "", "a"), link(2, 2, "a", "b"), link(3, 3, "b", "c")]
    known = extend(NOTHING, feed)
    assert extend(known, feed) == known == at((3, "c"))


def test_the_proof_that_is_carried_stays_known() -> None:
    assert extend(at((1, "a"), forked_at=2), [link(2, 2, "a", "b")]) == at((2, "b"), forked_at=2)


def test_of_too_many_branches_the_longest_are_remembered() -> None:
    branches = [link(2, n, "a", f"branch {n}") for n in range(2, MOST_PLACES + 4)]
    known = extend(NOTHING, [link(1, 1, "", "a"), *branches])
    assert [n for n, _ in known.places] == list(range(MOST_PLACES + 3, 3, -1))


def test_of_a_feed_every_branch_is_remembered_that_can_be_held() -> None:
    assert MOST_PLACES > ASIDE_BATCHES_PER_AUTHOR + 1  # beside the accepted one; else some would be sent again for ever


def test_the_beginning_always_is_a_place() -> None:
    assert places_of(AUTHOR, NOTHING) == [Place(AUTHOR, 0, ZEROS)]
    assert places_of(AUTHOR, at((4, "b"))) == [Place(AUTHOR, 4, name("b")), Place(AUTHOR, 0, ZEROS)]


# -- Keeping and rewinding ---------------------------------------------------------------------------------------
def test_feeds_planes_and_remotes_are_kept_apart() -> None:
    store = MemoryStore()
    with store.write() as writer:
        for remote, plane, author in ((1, 1, "a"), (1, 1, "b"), (1, 2, "a"), (2, 1, "a")):
            carried.put(writer, remote, plane, name(author), at((remote, f"{plane} {author}")))
    with store.read() as reader:
        assert carried.carried(reader, 1, 1) == {name("a"): at((1, "1 a")), name("b"): at((1, "1 b"))}
        assert carried.carried(reader, 2, 1) == {name("a"): at((2, "1 a"))}
        assert carried.carried(reader, 2, 2) == {}


def rewound(*noted: Carried, known: Carried = at((20, "t"))) -> Carried:  # noqa: B008  # a value that never changes
    """What is known after these notes were acted on."""
    store = MemoryStore()
    with store.write() as writer:
        carried.put(writer, 1, 1, AUTHOR, known)
        for each in noted:
            carried.rewind(writer, 1, 1, AUTHOR, each)
        assert carried.carried(writer, 1, 1) == {AUTHOR: known}
        assert carried.has_rewinds(writer, 1, 1) == bool(noted)
        assert not carried.has_rewinds(writer, 1, 2)
        assert carried.apply_rewinds(writer, 1, 2) == 0
        assert carried.apply_rewinds(writer, 1, 1) == bool(noted)
        assert not carried.has_rewinds(writer, 1, 1)
        assert carried.apply_rewinds(writer, 1, 1) == 0
        return carried.carried(writer, 1, 1)[AUTHOR]


def test_without_a_note_nothing_goes_back() -> None:
    assert rewound() == at((20, "t"))


def test_the_least_of_several_notes_holds_in_whatever_order_they_come() -> None:
    assert rewound(at((3, "c")), at((5, "e")), at((9, "i"))) == at((3, "c"))
    assert rewound(at((5, "e")), at((3, "c"))) == at((3, "c"))
    assert rewound(at((5, "e")), NOTHING, at((3, "c"))) == NOTHING


def test_a_note_of_what_went_back_further_meanwhile_brings_nothing_forward() -> None:
    assert rewound(at((5, "e")), known=at((3, "c"))) == at((3, "c"))
    assert rewound(at((5, "e")), known=NOTHING) == NOTHING


def test_of_a_forked_feed_what_all_notes_name_holds() -> None:
    one, other = at((9, "i"), (7, "g'"), forked_at=5), at((9, "i"), (8, "h'"), forked_at=5)
    every = at((9, "i"), (8, "h'"), (7, "g'"), forked_at=5)
    assert rewound(one, other, known=every) == at((9, "i"), forked_at=5)
    assert rewound(one, at((9, "i")), known=every) == at((9, "i"))
    assert rewound(one, one, known=one) == one
    assert rewound(at((9, "i"), forked_at=5), at((7, "g'"), forked_at=5), known=every) == at(forked_at=5)


def test_of_a_feed_with_one_branch_a_note_of_its_fork_holds_only_what_both_name() -> None:
    one, forked = at((9, "i"), forked_at=5), at((9, "i"), forked_at=7)
    assert rewound(one, forked, known=one) == at((9, "i")), "of two forks the proof of neither is surely carried"
    assert rewound(at((3, "c")), known=one) == at(), "a lower place of a forked feed may be of another branch"
    assert rewound(one, known=at((3, "c"))) == at()
