"""The alignment network as the loop trains it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dff.flow import affine_flow, corner_error, warp
from dff.formats.pictures import write_picture
from dff.model.alignment import AlignmentNetwork
from dff.model.motions import AlignmentOutput
from dff.simulator.photos import PhotoPack
from dff.train.alignment_config import AlignmentTrainConfig
from dff.train.alignment_losses import alignment_loss
from dff.train.alignment_source import MovingSource, even_moving_slices, held_out_moving
from dff.train.augment import Batch
from dff.train.source import Source
from dff.train.task import Precision
from dff.train.validate import grey, stacked_rows


def found_motion(network: nn.Module, batch: Batch, precision: Precision = nullcontext) -> AlignmentOutput:
    """What the network says of a batch, in evaluation mode."""
    was_training = network.training
    network.eval()
    with torch.inference_mode(), precision():
        output: AlignmentOutput = network(batch["images"], int(batch["reference"]), batch["relative_fov"])
    network.train(was_training)
    return output


def corner_errors_px(flow: Tensor, batch: Batch) -> Tensor:
    """(B,N-1) corner errors [px] of a flow (B,N,2,H,W), the reference left out."""
    truth = affine_flow(batch["matrices"].flatten(0, 1), *flow.shape[-2:]).float()
    errors = corner_error(flow.flatten(0, 1), truth).unflatten(0, flow.shape[:2])
    others = [k for k in range(flow.shape[1]) if k != int(batch["reference"])]
    return errors[:, others]


class AlignmentTask:
    """See `dff.train.task.Task`."""

    parts = ("total", "corner_px")

    def __init__(self, config: AlignmentTrainConfig) -> None:
        self.config = config
        kinds = ("rms", "median", "p90", "unaligned_rms")
        self.scores = tuple(f"{kind}_{n}" for n in config.validation.slices for kind in kinds)

    def network(self) -> AlignmentNetwork:
        return AlignmentNetwork(self.config.network)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"alignment": network}

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return MovingSource(self.config, seed, rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_moving(self.config, seed, photos, device)

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        images = batch["images"]
        with precision():
            output = model(images, int(batch["reference"]), batch["relative_fov"])
        return alignment_loss(output, images, batch["matrices"], self.config.loss)

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Corner errors [px] against the nearest slice, without metadata, over all slices and stacks."""
        scores: dict[str, float] = {}
        rows: list[list[np.ndarray]] = []
        for n in self.config.validation.slices:
            errors, before = [], []
            for batch in batches:
                thinned = even_moving_slices(batch, n)
                flow = found_motion(network, thinned, precision).flow
                errors.append(corner_errors_px(flow, thinned).flatten())
                before.append(corner_errors_px(torch.zeros_like(flow), thinned).flatten())
                if n == max(self.config.validation.slices):
                    rows += _panels(flow, thinned)
            error, unaligned = torch.cat(errors), torch.cat(before)
            scores |= {
                f"rms_{n}": float(error.square().mean().sqrt()),
                f"median_{n}": float(error.median()),
                f"p90_{n}": float(error.quantile(0.9)),
                f"unaligned_rms_{n}": float(unaligned.square().mean().sqrt()),
            }
        if chosen := rows[: self.config.validation.pictures]:
            write_picture(stacked_rows(chosen), sheet, overwrite=True)
        return scores


def _panels(flow: Tensor, batch: Batch) -> list[list[np.ndarray]]:
    """Per stack: nearest and farthest slice; their difference as taken, as aligned, as it should be."""
    truth = affine_flow(batch["matrices"][:, 0], *flow.shape[-2:]).float()
    near, far = batch["images"][:, -1], batch["images"][:, 0]
    differences = [(warp(far, f) - near).mean(dim=1) for f in (0 * truth, flow[:, 0], truth)]
    return [
        [
            *((picture[i] * 255).round().byte().permute(1, 2, 0).cpu().numpy() for picture in (near, far)),
            *(grey(0.5 + 2 * difference[i]) for difference in differences),
        ]
        for i in range(len(near))
    ]
