"""Both networks together as the loop trains them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dff.flow import affine_flow
from dff.model.alignment import AlignmentNetwork
from dff.model.network import build_depth_network
from dff.simulator.photos import PhotoPack
from dff.train.alignment_losses import alignment_loss
from dff.train.alignment_task import corner_errors_px, found_motion
from dff.train.augment import Batch
from dff.train.joint_config import JointTrainConfig
from dff.train.joint_network import JointNetwork, warped
from dff.train.joint_source import JointSource, even_joint_slices, held_out_joint
from dff.train.losses import PARTS, depth_loss
from dff.train.source import Source
from dff.train.task import Precision
from dff.train.validate import SCORES, scores, write_sheet


class JointTask:
    """See `dff.train.task.Task`."""

    parts = (*PARTS, "alignment", "corner_px")

    def __init__(self, config: JointTrainConfig) -> None:
        self.config = config
        kinds = (*SCORES, "mae_true", "corner_rms", "corner_median")
        self.scores = tuple(f"{kind}_{n}" for n in config.validation.slices for kind in kinds)

    def network(self) -> JointNetwork:
        depth = build_depth_network(self.config.network_config)
        return JointNetwork(AlignmentNetwork(self.config.alignment), depth)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        assert isinstance(network, JointNetwork)
        return {"alignment": network.alignment, "depth": network.depth}

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return JointSource(self.config, seed, rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_joint(self.config, seed, photos, device)

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        config, images, u = self.config, batch["images"], batch["u"]
        with precision():
            output = model(images, u, int(batch["reference"]), batch["relative_fov"])
        parts = depth_loss(output.depth, u, batch["target_u"], batch["valid"], config.loss)
        motion = alignment_loss(output.motion, images, batch["matrices"], config.alignment_loss)
        return parts | {
            "total": parts["total"] + config.alignment_weight * motion["total"],
            "alignment": motion["total"],
            "corner_px": motion["corner_px"],
        }

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Errors of depth, end to end and ("mae_true") on truly aligned stacks, and corner errors [px]."""
        assert isinstance(network, JointNetwork)
        validation = self.config.validation
        found: dict[str, float] = {}
        for n in validation.slices:
            errors, ours, true = [], [], []
            for batch in (even_joint_slices(batch, n) for batch in batches):
                flow = found_motion(network.alignment, batch).flow
                errors.append(corner_errors_px(flow, batch).flatten())
                truth = affine_flow(batch["matrices"].flatten(0, 1), *flow.shape[-2:]).float()
                ours.append(batch | {"images": warped(batch["images"], flow)})
                true.append(batch | {"images": warped(batch["images"], truth.view_as(flow))})
            error = torch.cat(errors)
            found |= scores(network.depth, ours, [n], precision) | {
                f"mae_true_{n}": scores(network.depth, true, [n], precision)[f"mae_{n}"],
                f"corner_rms_{n}": float(error.square().mean().sqrt()),
                f"corner_median_{n}": float(error.median()),
            }
            if n == max(validation.slices):
                write_sheet(sheet, network.depth, ours, validation.pictures, n, precision)
        return found
