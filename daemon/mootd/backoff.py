"""How long to wait before trying a remote again: full jitter over an exponentially growing window.

Invariant: attempts of many machines that lost the same remote at the same moment spread evenly over the window, so
that coming back is no second failure (M. Brooker, "Exponential Backoff And Jitter", 2015).
"""

from typing import Final

_DOUBLINGS: Final = 64
"""Beyond so many the window has passed every cap there is, and a float would overflow in the end."""


def full_jitter(attempt: int, base_s: float, cap_s: float, random01: float) -> float:
    """Seconds to wait before an attempt.

    Args:
        attempt: how many attempts have failed since the last that succeeded, less one: 0 before the first repetition.
        base_s: the window before the first repetition, in seconds; it doubles with every further one.
        cap_s: the widest window, in seconds.
        random01: a number drawn evenly from [0, 1).

    Raises:
        ValueError: an argument outside its range.
    """
    if attempt < 0 or base_s <= 0 or cap_s < base_s or not 0 <= random01 < 1:
        raise ValueError(f"no back-off: attempt {attempt}, base {base_s} s, cap {cap_s} s, random {random01}")
    return random01 * min(cap_s, base_s * 2.0 ** min(attempt, _DOUBLINGS))
