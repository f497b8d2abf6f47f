"""Resource limits of the process that calls, inherited by all that it starts."""

import resource
from collections.abc import Mapping


def impose(limits: Mapping[str, int]) -> None:
    """Set each limit, by its name in `resource` without `RLIMIT_`, soft and hard.

    A hard limit that is lower already stays. One second of CPU is between the signal that says
    that the time is up and the one that ends the process.
    """
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(which)
        above = value + 1 if name == "CPU" else value
        highest = above if hard == resource.RLIM_INFINITY else min(above, hard)
        resource.setrlimit(which, (min(value, highest), highest))
