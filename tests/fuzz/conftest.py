"""How many examples: 200 in the test suite, the same each time; 100,000 new ones by `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
settings.register_profile("suite", max_examples=200, derandomize=True, database=None, **_COMMON)
settings.register_profile("fuzz", max_examples=int(os.environ.get("EXAMPLES", "100000")), **_COMMON)
settings.register_profile(
    "quick", max_examples=int(os.environ.get("EXAMPLES", "1000")), phases=[Phase.generate], **_COMMON
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
