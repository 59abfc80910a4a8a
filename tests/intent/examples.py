"""How many examples Hypothesis tries: a few now, SOLWARD_EXAMPLES of each when it is set."""

import os

from hypothesis import HealthCheck, settings


def examples(count: int) -> settings:
    """Gives settings for `count` examples, or for as many as SOLWARD_EXAMPLES says."""
    return settings(
        max_examples=int(os.environ.get("SOLWARD_EXAMPLES", count)),
        deadline=None,
        database=None,  # leaves no file behind
        suppress_health_check=[HealthCheck.too_slow],
    )
