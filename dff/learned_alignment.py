"""Alignment by a network, and the direct method that sets out from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dff.classical import motion
from dff.classical.align import align_stack
from dff.classical.alignment import Alignment, resolve_reference
from dff.model.align_slices import WORK_SIZE, network_matrices
from dff.model.alignment import AlignmentNetwork, load_alignment_network
from dff.model.device import usable_device
from dff.stack import FocalStack, Progress
from dff.weights import known_weights

KIND = "alignment"  # what files of weights call it
VIEWS = 4  # mirrored, that the network sees: their mean errs a fifth less than one
AGREED_PX = 0.3  # at corners of what the network sees; further apart, either may be the one that is wrong ...
APART_PX = 6.0  # ... and from here on it is the network
TURNED_PX = 0.04  # at corners: a stack that turns in its plane, which the network does not see


@dataclass(frozen=True, eq=False)
class LearnedAligner:
    """An alignment network, ready for any number of stacks.

    Args:
        name: as it was asked for.
        network: in evaluation mode, on its device.
    """

    name: str
    network: AlignmentNetwork

    def align(
        self,
        stack: FocalStack,
        *,
        polish: bool = True,
        reference: str | int = "auto",
        progress: Progress | None = None,
    ) -> Alignment:
        """Where the slices of a far-first stack lie.

        Args:
            stack: slices of any size.
            polish: let the direct method set out from what the network finds: it knows fractions of a pixel
                better where slices are alike, and tells which do not fit. Where it ends further from the
                network than that, a way between both is taken (`between`).
            reference: "auto", "first", "middle", "last" or the number of a slice.
            progress: called with (stage, done, total).

        Raises:
            ValueError: no such reference, or a network whose motions no matrix can hold.
        """
        count, size = len(stack), (stack.height, stack.width)
        flags = ("reference",) + ("ok",) * (count - 1)
        unknown = np.repeat(motion.IDENTITY[None], count, axis=0)
        resolve_reference(reference, unknown, flags)  # before any work
        if not polish:
            found = network_matrices(self.network, stack, 0, VIEWS)
            given = Alignment(found, 0, size, "network-only", flags, np.full(count, np.nan))
            return given.seen_from(resolve_reference(reference, found, flags))
        start = network_matrices(self.network, stack, count // 2, VIEWS)
        polished = align_stack(stack, "direct", reference=reference, start=start, progress=progress)
        return replace(between(polished, start), method="network")


def between(polished: Alignment, start: np.ndarray) -> Alignment:
    """The direct method's alignment, drawn towards the network's where they differ plainly, but not wildly.

    Corners that lie ``d`` px apart move 0.6 (1 - (`AGREED_PX` / d)^2) (1 - (d / `APART_PX`)^2) of the way,
    which takes a sixth off the error under strong defocus. A stack that turns in its plane, and slices that
    fit nothing, stay as they are: the network does not see the one, and the direct method has put the others
    between their neighbours.

    Args:
        polished: what the direct method found.
        start: (N,2,3) what the network found, seen from any slice.
    """
    size = polished.size
    shrunk = min(1.0, WORK_SIZE / max(size))
    turned = np.abs(np.deg2rad(polished.rotation_deg)).max() * motion.corner_distance(size) * shrunk
    if turned > TURNED_PX:
        return polished
    back = motion.invert(start[polished.reference])
    matrices = polished.matrices.copy()
    for k, flag in enumerate(polished.flags):
        told = motion.compose(start[k], back)
        apart = motion.corners_moved(matrices[k], told, size) * shrunk
        if flag not in ("poor", "reference") and AGREED_PX < apart < APART_PX:
            share = 0.6 * (1 - (AGREED_PX / apart) ** 2) * (1 - (apart / APART_PX) ** 2)
            matrices[k] += share * (told - matrices[k])
    return replace(polished, matrices=matrices)


def load_aligner(name: str | None = None, device: str = "auto") -> LearnedAligner:
    """An alignment network by the name or path of its weights.

    Args:
        name: None: the first alignment network of weights/index.toml.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ValueError: unknown, damaged or unfit weights, none to choose, or no CUDA device.
        FileNotFoundError: a known name whose file is missing.
    """
    device = usable_device(device)
    if name is None:
        shipped = [key for key, entry in known_weights().items() if entry.network == KIND]
        if not shipped:
            raise ValueError("align network: no alignment weights ship with dff yet; name a file (aligner)")
        name = shipped[0]
    return LearnedAligner(name, load_alignment_network(name, device))
