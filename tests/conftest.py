"""What every test run needs: how many examples properties try (more, and always the same, with MOOT_SCALE=ci)."""

import os
import signal

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
