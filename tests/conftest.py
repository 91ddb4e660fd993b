"""How many examples the property tests try: few for a developer, many and always the same ones with MOOT_SCALE=ci."""

import os

from hypothesis import HealthCheck, settings

# A slow machine is no failure, so nothing here is timed.
settings.register_profile(
    "dev", max_examples=50, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("MOOT_SCALE") == "ci" else "dev")
