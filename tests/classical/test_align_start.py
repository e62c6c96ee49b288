"""The direct method from a given start, such as a network's."""

from __future__ import annotations

import numpy as np
import pytest

from dff.classical import motion
from dff.classical.align import align_stack
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.motion import Motion
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.stack import FocalStack

SIZE = (96, 128)
SCENE = SceneConfig(objects=(1, 2), textures=("noise",), plain_share=0, flat_share=0, faded_share=0)
CAMERA = CameraPrior(
    n_slices=(4, 4),
    max_coc_px=(4, 5),
    motion=Motion(zoom_px=1, shift_px=2),
    sensors=(Sensor(shot=(1e-5, 1e-5)),),
)


@pytest.fixture(scope="module")
def known():
    return simulate(SimulationConfig(SCENE, CAMERA, SIZE), 3)


def worst(found, known):
    pairs = zip(found.seen_from(known.reference).matrices, known.matrices, strict=True)
    return max(motion.corners_moved(one, other, SIZE) for one, other in pairs)


def test_a_start_of_any_reference_is_polished(known):
    stack = FocalStack(known.stack.slices)
    near = known.matrices.copy()
    near[:-1, :, 2] += 0.7
    back = motion.invert(near[1])
    for start in (near, np.array([motion.compose(m, back) for m in near])):
        assert worst(align_stack(stack, "direct", start=start), known) < 0.15
    assert worst(align_stack(stack), known) < 0.15


def test_a_start_reaches_motions_that_the_pictures_alone_do_not_tell(known):
    """Slices turned far: nothing but the start says by how much."""
    turn = motion.about_centre(1.0, 0.5, (0.0, 0.0), SIZE)
    pictures = [motion.warp(s, turn) if k % 2 else s for k, s in enumerate(known.stack.slices)]
    unturn = motion.invert(turn)
    truth = np.array([motion.compose(unturn, m) if k % 2 else m for k, m in enumerate(known.matrices)])
    truth = np.array([motion.compose(m, motion.invert(truth[0])) for m in truth])
    found = align_stack(FocalStack(pictures), "direct", reference=0, start=truth)
    lost = align_stack(FocalStack(pictures), "direct", reference=0)
    inner = [motion.corners_moved(a, b, SIZE) for a, b in zip(found.matrices, truth, strict=True)]
    outer = [motion.corners_moved(a, b, SIZE) for a, b in zip(lost.matrices, truth, strict=True)]
    assert max(inner) < 0.5
    assert max(outer) > 2


def test_errors(known):
    with pytest.raises(ValueError, match=r"start must be \(4,2,3\), got \(3, 2, 3\)"):
        align_stack(known.stack, start=known.matrices[:3])
    with pytest.raises(ValueError, match="align ecc: takes no start"):
        align_stack(known.stack, "ecc", start=known.matrices)
