"""The profile of Hypothesis for runs against mutants: the same examples each time, and no time spent on shrinking.

A plugin of pytest: ``-p tests.mutants.profile --hypothesis-profile=mutants``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
