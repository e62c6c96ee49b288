"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING

from dff.closedloop.policy import Policy, Scripted
from dff.closedloop.rules import curve_fit, rule_based
from dff.closedloop.scan import Phase, contrast_scan, phase_loop
from dff.closedloop.search import fibonacci, global_sweep, golden_section, hill_climb
from dff.closedloop.vote import vote_sweep
from dff.weights import known_weights

if TYPE_CHECKING:
    from dff.closedloop.one_shot import Spot

PHASE, VOTE = "phase-loop", "vote"
STEPS, ONE_SHOT, UNTIL_SURE = "step-search", "one-shot", "until-sure"
NETWORKS = (ONE_SHOT, UNTIL_SURE)
"""Those of an autofocus network, which needs dual-pixel frames and a ladder that it knows."""
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
NAMES = (*SCRIPTS, STEPS, *NETWORKS)
"""All names; the last three are learned, and their weights ship."""


def check_policy(name: str) -> None:
    """Refuse a name that is none of `NAMES`.

    Raises:
        ValueError: unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"policy {name!r}; choose from {', '.join(NAMES)}, or all")


def runnable(names: Iterable[str] = NAMES, without: Collection[str] = ()) -> list[str]:
    """The names but those ``without``, and but the step search where its weights are not listed."""
    from dff.closedloop.learned import WEIGHTS

    left_out = {*without} | (set() if WEIGHTS in known_weights() else {STEPS})
    return [name for name in names if name not in left_out]


def make_policy(
    name: str,
    phase: Phase | None = None,
    blur_px_per_index: float | None = None,
    positions: int = 0,
    spot: Spot | None = None,
    weights: str | None = None,
    step_networks: str | None = None,
) -> Policy:
    """The policy of that name.

    Args:
        name: one of `NAMES`.
        phase: for the phase loop, what reads defocus from frames.
        blur_px_per_index: for the step search, growth of the blur radius from one index to the next.
        positions, spot, weights: for autofocus networks, as in `dff.closedloop.one_shot`, with its weights
            unless others are named.
        step_networks: weights of the step search, as in `dff.closedloop.learned.step_parts`.

    Raises:
        ValueError: unknown name, the phase loop without phase, the step search without blur, an
            autofocus network without a spot or with weights of another ladder.
        FileNotFoundError: its weights are missing.
    """
    check_policy(name)
    if name in NETWORKS:
        if spot is None:
            raise ValueError(
                f"policy {name} needs dual-pixel frames, which a recorded stack has not; use a scene"
            )
        from dff.closedloop import one_shot

        made = one_shot.one_shot if name == ONE_SHOT else one_shot.until_sure
        return made(weights or one_shot.WEIGHTS, positions, spot)
    if name == STEPS:
        if blur_px_per_index is None:
            raise ValueError(
                f"policy {name} needs the lens of the stack: it tells distance by the size of the blur"
            )
        from dff.closedloop.learned import WEIGHTS, step_parts, step_policy

        return step_policy(step_parts(step_networks or WEIGHTS, blur_px_per_index))
    if name != PHASE:
        return Scripted(name, SCRIPTS[name])
    if phase is None:
        raise ValueError(
            f"policy {PHASE} needs dual-pixel frames, which a recorded stack has not; use a scene"
        )
    return Scripted(name, partial(phase_loop, phase=phase), halves=True)
