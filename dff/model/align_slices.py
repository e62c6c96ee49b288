"""The alignment network on a stack of any size, as files hold it."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import torch
from torch import Tensor

from dff.model.alignment import AlignmentNetwork
from dff.model.pairs import between, homogeneous
from dff.model.views import unviewed_motion, viewed
from dff.stack import FocalStack, to_float

WORK_SIZE = 256  # longest side [px] that the network sees


def _resized(matrices: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """The same motions (B,N,2,3) of pictures resized by these factors, pixel centres at integers in both."""
    change = torch.tensor(
        [[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]], dtype=torch.float64
    )
    return (change @ homogeneous(matrices) @ torch.linalg.inv(change))[..., :2, :]


def _work_pictures(stack: FocalStack, size: tuple[int, int]) -> Tensor:
    """(1,N,3,h,w) in [0,1]."""
    pictures = []
    for k in range(len(stack)):
        picture = stack.slices[k]
        if picture.shape[:2] != size:
            picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        shades = torch.from_numpy(to_float(picture))
        pictures.append(shades.permute(2, 0, 1) if shades.ndim == 3 else shades.expand(3, *size))
    return torch.stack(pictures)[None]


def _told_fov(stack: FocalStack) -> Tensor | None:
    """(1,N) field of view of each slice as lens and focus have it; None where they say nothing."""
    if stack.lens is None or stack.focus is None:
        return None
    try:
        return torch.from_numpy(stack.lens.relative_fov(stack.focus))[None]
    except ValueError as error:
        warnings.warn(f"the lens does not fit the focus distances ({error}); it is not used", stacklevel=2)
        return None


def network_matrices(
    network: AlignmentNetwork, stack: FocalStack, reference: int = -1, views: int = 1
) -> np.ndarray:
    """Motion of every slice as the network sees it, a mean over mirrored and turned views.

    Slices are compared with the middle one, which is the most like all others, and then seen from
    ``reference``. The result is a start for `dff.classical.align.align_stack`, or an alignment by itself.

    Args:
        network: in evaluation mode; its motions must be affine.
        stack: slices of any size, in the order of focus.
        reference: slice that the matrices are seen from; negative counts from the end.
        views: how many (`dff.model.views`), for as many times the time.

    Returns:
        (N,2,3) float64, reference pixel (x,y,1) -> slice pixel.

    Raises:
        ValueError: no such reference, or motions that no matrix can hold.
    """
    count = len(stack)
    if not -count <= reference < count:
        raise ValueError(f"reference {reference}: the stack has slices 0 to {count - 1}")
    scale = min(1.0, WORK_SIZE / max(stack.height, stack.width))
    size = max(1, round(stack.height * scale)), max(1, round(stack.width * scale))
    device = next(network.parameters()).device
    fov = _told_fov(stack)
    fov = None if fov is None else fov.to(device)
    pictures = _work_pictures(stack, size).to(device)

    def look(view: int) -> Tensor:
        found = network(viewed(pictures, view), count // 2, fov).matrices.double().cpu()
        return unviewed_motion(homogeneous(found), view, size)[..., :2, :]

    with torch.inference_mode():
        found = torch.stack([look(view) for view in range(views)]).mean(dim=0)
    whole = _resized(found, stack.width / size[1], stack.height / size[0])
    seen = between(whole, [reference % count] * count, list(range(count)))[0]
    seen[reference] = torch.eye(2, 3)
    return np.asarray(seen.numpy())
