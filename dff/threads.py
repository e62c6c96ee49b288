"""Threads of torch that wait for each other sleep, instead of keeping their cores busy.

OpenMP lets them spin for some milliseconds. Where anything else runs on the machine, threads that spin hold
up the one that they wait for: ten slices of 1280x720 then took twice the time and the processor time.
"""

import os


def sleep_while_waiting() -> None:
    """For this process and those that it starts, unless the user has chosen; before torch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
