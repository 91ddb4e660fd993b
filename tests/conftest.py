"""What every test run needs.

How many examples properties try (more, and always the same, with MOOT_SCALE=ci), and tests that stay out of the way.
"""

import gc
import os
import signal

import structlog
from hypothesis import HealthCheck, settings

# A slow machine is no failure, so nothing here is timed.
settings.register_profile(
    "dev", max_examples=30, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=100, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("MOOT_SCALE") == "ci" else "dev")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts something in the background lets it ignore interrupts, and so would every client we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What went wrong is drawn with every variable around it where `rich` is installed, which takes a second each time.
_shown = structlog.get_config()["processors"][-1]
assert isinstance(_shown, structlog.dev.ConsoleRenderer)
_shown.exception_formatter = structlog.dev.plain_traceback


def pytest_collection_finish() -> None:
    """Keep the tests themselves out of garbage collection: looking through all of them takes it up to a second."""
    gc.freeze()
