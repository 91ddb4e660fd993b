"""A network in memory that loses, repeats, delays and reorders what it carries, and falls into parts: from a seed."""

from collections import Counter
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple


class Weather(NamedTuple):
    """How bad it is. Chances are in percent, delays in milliseconds."""

    loss: int = 0
    repeats: int = 0
    delay_ms: int = 0
    """The longest delay of a message; different delays reorder."""
    garbled: int = 0
    """Chance that some bytes of a message are changed on its way."""


class Parcel(NamedTuple):
    """A message under way."""

    due_ms: int
    order: int
    sender: int
    to: int
    message: bytes


class Network:
    """Carries messages between numbered nodes.

    Args:
        random: what all chance comes from.
        weather: how bad it is; may be changed at any time.
    """

    def __init__(self, random: Random, weather: Weather) -> None:
        self._random = random
        self._parcels: list[Parcel] = []
        self._sent = 0
        self._part_of: dict[int, int] = {}
        self._is_one_way = False
        self.weather = weather
        self.faults: Counter[str] = Counter()

    def send(self, sender: int, to: int, message: bytes, now_ms: int) -> None:
        """Put a message on its way, once, twice, or not at all."""
        weather = self.weather
        if self._chance(weather.loss):
            self.faults["lost"] += 1
            return
        self._put(sender, to, message, now_ms)
        if self._chance(weather.repeats):
            self.faults["repeated"] += 1
            self._put(sender, to, message, now_ms)

    def _put(self, sender: int, to: int, message: bytes, now_ms: int) -> None:
        if self._chance(self.weather.garbled):
            self.faults["garbled"] += 1
            message = self._garbled(message)
        due = now_ms + (self._random.randrange(self.weather.delay_ms) if self.weather.delay_ms else 0)
        self._sent += 1
        heappush(self._parcels, Parcel(due, self._sent, sender, to, message))

    def _garbled(self, message: bytes) -> bytes:
        at = self._random.randrange(len(message))
        match self._random.randrange(3):
            case 0:
                return message[:at]
            case 1:
                return message[:at] + self._random.randbytes(4) + message[at:]
        return message[:at] + bytes([message[at] ^ 1 << self._random.randrange(8)]) + message[at + 1 :]

    def receive(self, now_ms: int) -> Parcel | None:
        """The next message that has arrived by now; those between parts that can't see one another are lost."""
        while self._parcels and self._parcels[0].due_ms <= now_ms:
            parcel = heappop(self._parcels)
            sender, to = (self._part_of.get(node, 0) for node in (parcel.sender, parcel.to))
            if sender == to:
                return parcel
            if self._is_one_way and sender < to:
                self.faults["heard, and not hearing"] += 1
                return parcel
            self.faults["cut off"] += 1
        return None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return not self._parcels

    def split(self, parts: dict[int, int], *, one_way: bool = False) -> None:
        """Let only nodes of one part hear one another; nodes that aren't named are in part 0.

        Args:
            parts: node → its part.
            one_way: whether those of higher parts still hear those of lower ones, who don't hear them.
        """
        self._part_of = dict(parts)
        self._is_one_way = one_way
        self.faults["partitions"] += 1

    def heal(self) -> None:
        """Let everybody hear everybody, at once and without loss."""
        self._part_of = {}
        self.weather = Weather()

    def _chance(self, percent: int) -> bool:
        return percent > 0 and self._random.randrange(100) < percent
