"""Alignment by a network, and the direct method that sets out from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dff.classical.align import align_stack
from dff.classical.alignment import Alignment, resolve_reference
from dff.classical.motion import IDENTITY
from dff.model.align_slices import network_matrices
from dff.model.alignment import AlignmentNetwork, load_alignment_network
from dff.model.device import usable_device
from dff.stack import FocalStack, Progress
from dff.weights import known_weights

KIND = "alignment"  # what files of weights call it


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
                better where slices are alike, and tells which do not fit.
            reference: "auto", "first", "middle", "last" or the number of a slice.
            progress: called with (stage, done, total).

        Raises:
            ValueError: no such reference, or a network whose motions no matrix can hold.
        """
        count, size = len(stack), (stack.height, stack.width)
        flags = ("reference",) + ("ok",) * (count - 1)
        resolve_reference(reference, np.repeat(IDENTITY[None], count, axis=0), flags)  # before any work
        if not polish:
            found = network_matrices(self.network, stack, 0)
            given = Alignment(found, 0, size, "network-only", flags, np.full(count, np.nan))
            return given.seen_from(resolve_reference(reference, found, flags))
        start = network_matrices(self.network, stack, count // 2)
        polished = align_stack(stack, "direct", reference=reference, start=start, progress=progress)
        return replace(polished, method="network")


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
