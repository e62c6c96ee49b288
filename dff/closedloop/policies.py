"""The policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dff.closedloop.policy import Policy, Scripted
from dff.closedloop.rules import curve_fit, rule_based
from dff.closedloop.scan import Phase, contrast_scan, phase_loop
from dff.closedloop.search import fibonacci, global_sweep, golden_section, hill_climb

PHASE = "phase-loop"
SCRIPTS: dict[str, Callable] = {
    "global": global_sweep,
    "fibonacci": fibonacci,
    "golden": golden_section,
    "hill-climb": hill_climb,
    "rule-based": rule_based,
    "curve-fit": curve_fit,
    "contrast-scan": contrast_scan,
    PHASE: phase_loop,
}
"""Name -> script of `dff.closedloop.policy.Scripted`; the phase loop also takes what reads the phase."""


def check_policy(name: str) -> None:
    """Refuse a name that is none of `SCRIPTS`.

    Raises:
        ValueError: unknown name.
    """
    if name not in SCRIPTS:
        raise ValueError(f"policy {name!r}; choose from {', '.join(SCRIPTS)}, or all")


def make_policy(name: str, phase: Phase | None = None) -> Policy:
    """The policy of that name.

    Args:
        name: one of `SCRIPTS`.
        phase: for the phase loop, what reads defocus from frames.

    Raises:
        ValueError: unknown name, or the phase loop without phase.
    """
    check_policy(name)
    if name != PHASE:
        return Scripted(name, SCRIPTS[name])
    if phase is None:
        raise ValueError(
            f"policy {PHASE} needs dual-pixel frames, which a recorded stack has not; use a scene"
        )
    return Scripted(name, partial(phase_loop, phase=phase), halves=True)
