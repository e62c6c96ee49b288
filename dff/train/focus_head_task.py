"""The autofocus head as the loop trains it: ordinal loss, and agreement of what is seen of one region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dff.autofocus.losses import focal_consistency_loss, ordinal_loss
from dff.formats.pictures import write_picture
from dff.model.focus_head import KIND, FocusNetwork, load_focus_network
from dff.model.focus_head_encode import Encoded, Seen
from dff.model.network import DepthNetwork, load_depth_network
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.focus_head_config import FocusHeadTrainConfig
from dff.train.focus_head_source import FocusHeadSource, as_seen, held_out_batches
from dff.train.source import Source
from dff.train.task import Precision

_KINDS = ("mae", "within_1", "spread")
_ZOOM = 6  # px of the sheet per slice


def backbone(config: FocusHeadTrainConfig) -> DepthNetwork:
    """The depth network that a recipe begins with.

    Raises:
        ValueError: weights of another make-up than the recipe's size.
    """
    if not config.backbone:
        return DepthNetwork(config.network_config)
    network = load_depth_network(config.backbone)
    if network.config != config.network_config:
        raise ValueError(f"backbone {config.backbone}: not a depth network of size {config.size}")
    assert isinstance(network, DepthNetwork)
    return network


def _without(config: FocusHeadTrainConfig) -> FocusNetwork:
    return FocusNetwork(backbone(config), config.head, trained="all" if config.joint else "head")


def with_halves(config: FocusHeadTrainConfig) -> FocusNetwork:
    """A trained head, which stays as it is, and a part for halves beside it, untrained unless it has one.

    Raises:
        ValueError: weights of another make-up than the recipe's.
    """
    trained = load_focus_network(config.head_weights)
    found = (trained.config, trained.depth.config, trained.halves and trained.halves.config)
    if found[:2] != (config.head, config.network_config) or found[2] not in (None, config.halves):
        raise ValueError(f"head_weights {config.head_weights}: of another make-up than this recipe's")
    network = FocusNetwork(trained.depth, trained.config, config.halves, trained="halves")
    network.load_state_dict(trained.state_dict(), strict=False)
    if config.cues_kept and network.halves is not None:
        network.halves.look.requires_grad_(False)
        network.halves.cues.requires_grad_(False)
    return network


def _asked(batch: dict[str, Tensor], sets: int) -> tuple[Tensor, Tensor]:
    """Regions and blur of every stack, once for each of its sets of slices."""
    return batch["regions"].repeat_interleave(sets, dim=0), batch["blur_px"].repeat_interleave(sets)


def region_logits(
    model: nn.Module, batch: dict[str, Tensor], precision: Precision, seen: Seen | Encoded | None = None
) -> Tensor:
    """(B,F,R,K) logits of B stacks through F sets of slices; ``seen``: these, if looked at before."""
    stacks = len(batch["blur_px"])
    seen = as_seen(batch) if seen is None else seen
    sets = len(seen.places) // stacks
    with precision():
        logits = model(seen, *_asked(batch, sets))
    return logits.float().unflatten(0, (stacks, sets))


def loss_alone(
    network: FocusNetwork, batch: dict[str, Tensor], seen: Encoded, precision: Precision
) -> Tensor:
    """Ordinal loss of what the halves of every single slice say by themselves."""
    stacks = len(batch["blur_px"])
    with precision():
        logits = network.alone(seen, *_asked(batch, len(seen.places) // stacks))
    regions = logits.float().unflatten(0, (stacks, -1)).transpose(2, 3)  # B,F,R,n,K
    target = batch["index"][:, None, :, None].expand(regions.shape[:-1])
    return ordinal_loss(regions, target)


class FocusHeadTask:
    """See `dff.train.task.Task`."""

    parts: tuple[str, ...] = ("total", "ordinal", "divergence", "msd")

    def __init__(self, config: FocusHeadTrainConfig) -> None:
        self.config = config
        if config.alone:
            self.parts = (*self.parts, "alone")
        source = config.source
        frames = (*source.frames, *source.scattered, *(["all"] if source.whole else []))
        self.scores = tuple(f"{kind}_{n}" for n in dict.fromkeys(map(str, frames)) for kind in _KINDS)
        self._network: FocusNetwork | None = None

    def network(self) -> FocusNetwork:
        config = self.config
        self._network = with_halves(config) if config.halves else _without(config)
        return self._network

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        assert isinstance(network, FocusNetwork)
        return {KIND: network, "depth": network.depth}

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        # frozen maps come from the network that is trained, whatever weights it was given
        return FocusHeadSource(self.config, seed, self._encoder(), rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_batches(self.config, self._encoder(), seed, photos, device)

    def _encoder(self) -> FocusNetwork:
        return self._network or self.network()

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        seen, alone = None, None
        if self.config.alone:
            network = getattr(model, "module", model)
            seen = as_seen(batch)
            assert isinstance(network, FocusNetwork)
            assert isinstance(seen, Encoded)
            with precision():
                seen = network.looked(seen)
            has = seen.cues is not None
            alone = loss_alone(network, batch, seen, precision) if has else batch["blur_px"].new_zeros(())
        logits = region_logits(model, batch, precision, seen)
        scenes = logits.transpose(1, 2).flatten(0, 1)  # B*R,F,K
        progress = float(batch["progress"])
        parts = focal_consistency_loss(scenes, batch["index"].flatten(), progress, self.config.loss)
        if alone is not None:
            parts |= {"total": parts["total"] + self.config.alone * alone, "alone": alone.detach()}
        return parts

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Error [index], share within 1, and spread [index] over the sets of a stack, by slices seen."""
        errors, spreads = defaultdict(list), defaultdict(list)
        pictures = []
        for batch in batches:
            with torch.inference_mode():
                logits = region_logits(network.eval(), batch, precision)
            answer = logits.argmax(dim=-1)
            count, n = logits.shape[-1], as_seen(batch).places.shape[1]
            name = "all" if n == count else str(n)
            errors[name].append((answer - batch["index"][:, None]).abs().flatten().float())
            spreads[name].append(answer.float().std(dim=1, unbiased=False).flatten())
            pictures.append(_distributions(logits[0, 0], batch["index"][0]))
        found = {score: float("nan") for score in self.scores}
        for name, parts in errors.items():
            error = torch.cat(parts)
            found |= {
                f"mae_{name}": float(error.mean()),
                f"within_1_{name}": float((error <= 1).float().mean()),
                f"spread_{name}": float(torch.cat(spreads[name]).mean()),
            }
        if self.config.validation.pictures:
            write_picture(_stacked(pictures[: self.config.validation.pictures]), sheet, overwrite=True)
        return found


def _distributions(logits: Tensor, index: Tensor) -> np.ndarray:
    """(R,K) logits of regions as rows of grey, black certain; the true slice is framed red at its ends."""
    share = torch.softmax(logits, dim=-1)
    levels = (255 * (1 - share / share.amax(dim=-1, keepdim=True))).round().byte().cpu().numpy()
    picture = np.repeat(np.repeat(levels, _ZOOM, axis=0), _ZOOM, axis=1)
    picture = np.repeat(picture[..., None], 3, axis=2)
    for row, k in enumerate(index.tolist()):
        for edge in (0, _ZOOM - 1):
            picture[row * _ZOOM + edge, k * _ZOOM : (k + 1) * _ZOOM] = (220, 0, 0)
    return picture


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(one, ((0, _ZOOM), (0, width - one.shape[1]), (0, 0)), constant_values=128) for one in pictures
    ]
    return np.concatenate(padded)
