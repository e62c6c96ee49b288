"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dff.closedloop.policy import Policy, Scripted
from dff.closedloop.rules import curve_fit, rule_based
from dff.closedloop.scan import Phase, contrast_scan, phase_loop
from dff.closedloop.search import fibonacci, global_sweep, golden_section, hill_climb
from dff.closedloop.vote import vote_sweep

PHASE, VOTE = "phase-loop", "vote"
STEPS = "step-search"
DEFAULT = VOTE
"""What `dff focus-run` runs where nothing is asked for: the most dependable (docs/closed-loop.md)."""
SCRIPTS: dict[str, Callable] = {
    VOTE: vote_sweep,
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
NAMES = (*SCRIPTS, STEPS)
"""All names; the last has learned parts, whose weights ship."""


def check_policy(name: str) -> None:
    """Refuse a name that is none of `NAMES`.

    Raises:
        ValueError: unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"policy {name!r}; choose from {', '.join(NAMES)}, or all")


def make_policy(name: str, phase: Phase | None = None, blur_px_per_index: float | None = None) -> Policy:
    """The policy of that name.

    Args:
        name: one of `NAMES`.
        phase: for the phase loop, what reads defocus from frames.
        blur_px_per_index: for the step search, growth of the blur radius from one index to the next.

    Raises:
        ValueError: unknown name, the phase loop without phase, or the step search without blur.
        FileNotFoundError: its weights are missing.
    """
    check_policy(name)
    if name == STEPS:
        if blur_px_per_index is None:
            raise ValueError(
                f"policy {name} needs the lens of the stack: it tells distance by the size of the blur"
            )
        from dff.closedloop.learned import WEIGHTS, spectrum_parts, step_policy

        return step_policy(spectrum_parts(WEIGHTS, blur_px_per_index))
    if name != PHASE:
        return Scripted(name, SCRIPTS[name])
    if phase is None:
        raise ValueError(
            f"policy {PHASE} needs dual-pixel frames, which a recorded stack has not; use a scene"
        )
    return Scripted(name, partial(phase_loop, phase=phase), halves=True)
