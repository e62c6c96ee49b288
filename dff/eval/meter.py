"""CPU time and peak memory of a command, as ``python -m dff.eval.meter COMMAND...``.

The measuring process is a bare Python: what a child needs at its peak counts from the memory of the process
that starts it, which for the benchmark itself is hundreds of megabytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Usage:
    """What one run of a command took: user and system seconds, wall seconds, peak resident megabytes."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: Sequence[str]) -> Usage:
    """Run ``command`` once, its output thrown away, in the present environment.

    Raises:
        ValueError: the command failed, with the last line it wrote.
    """
    run = subprocess.run([sys.executable, "-m", "dff.eval.meter", *command], capture_output=True, text=True)
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["no message"]
        raise ValueError(f"{' '.join(command[:6])} ... failed: {said[-1]}")
    return Usage(**json.loads(run.stdout))


def main() -> int:
    """Run the command given as arguments and print its `Usage` as JSON."""
    try:
        import resource
    except ImportError:
        print("memory of a process cannot be measured on this system; use Linux or macOS", file=sys.stderr)
        return 1
    start = time.perf_counter()
    run = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wall_s = time.perf_counter() - start
    if run.returncode:
        print(run.stderr, file=sys.stderr)
        return 1
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    print(json.dumps(asdict(Usage(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss * unit / 1e6))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
