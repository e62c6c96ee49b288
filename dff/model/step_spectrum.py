"""Distance to focus from the spectrum of a patch: our own estimator and discriminator, in one small network.

Blur multiplies the spectrum of light, so it adds to its logarithm, whatever the scene's contrast; a disc
leaves zeros, which tell its size; noise shows as the floor of the finest bands. What is learned is only how
to read 64 numbers, which takes little training. Distances are classes: which zero is which has no mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.step import PATCH, check_patches
from dff.weights import load_network

SPECTRUM = "step_spectrum"
_NEAREST = 2.0  # positions: the first class; what is nearer is in focus
_LABEL_SD = 1.2  # of the labels [classes]
_AROUND = 3  # classes either side of the likeliest that the answer is a mean of
_LEAST = 1e-9  # power under the logarithm: a hundredth of what rounding to 8 bit leaves
_MIDDLE, SPREAD = -4.0, 5.0  # of natural logarithms of power, roughly


@dataclass(frozen=True)
class SpectrumConfig:
    """Make-up of the network.

    Args:
        bands: of frequency, spread evenly in the logarithm from one cycle per patch to the finest.
        places: classes of distance, spread evenly in the logarithm up to ``positions``.
        hidden: of the connected layers before the last.
        gamma: of display values; spectra are taken of light.
        camera: of the defocus table it was trained on.
        positions: of that camera; the distance is told as a share of them.
        px_per_position: growth of the blur radius there.
        focused: positions either way that count as in focus.
    """

    bands: int = 64
    places: int = 128
    hidden: tuple[int, ...] = (256, 256)
    gamma: float = 2.4
    camera: str = ""
    positions: float = 1050.0
    px_per_position: float = 0.19
    focused: float = 10.0

    def __post_init__(self) -> None:
        if min(self.bands, self.places) < 4 or not self.hidden or min(self.hidden) < 1:
            raise ValueError(
                f"SpectrumConfig: bands {self.bands}, places {self.places}, hidden {self.hidden}; give 4, 4 "
                "and 1 or more"
            )
        if not min(self.positions - _NEAREST, self.px_per_position, self.focused, self.gamma) > 0:
            raise ValueError(f"SpectrumConfig: positions must be above {_NEAREST:g}, the others above 0")


def band_edges(bands: int) -> Tensor:
    """(bands+1,) edges of the bands [cycles per pixel]."""
    return 2.0 ** (torch.arange(bands + 1) / bands * math.log2(PATCH / 2)) / PATCH


@cache
def _band_of(bands: int, device: str) -> tuple[Tensor, Tensor]:
    """Band of every frequency of a patch, flat, the last of them for what has none; and their weights."""
    down = torch.fft.fftfreq(PATCH)[:, None]
    across = torch.fft.rfftfreq(PATCH)[None, :]
    cycles = (down.square() + across.square()).sqrt() * PATCH
    place = (cycles.clamp_min(0.5).log2() / math.log2(PATCH / 2) * bands).floor().long()
    place[(cycles < 1) | (place >= bands)] = bands
    count = torch.bincount(place.flatten(), minlength=bands + 1).clamp_min(1)
    return place.flatten().to(device), (1 / count.float())[:bands].to(device)


def spectrum(patches: Tensor, bands: int = 64) -> Tensor:
    """(B,1,512,512) of light -> (B,bands) mean logarithm of power in rings of frequency, about -1 to 1.

    The patch is weighted by a Hann window, its mean taken off. Bands so narrow that no frequency falls into
    them take what the one below has.

    Raises:
        ValueError: patches of another size.
    """
    check_patches(patches)
    window = torch.hann_window(PATCH, periodic=False, device=patches.device)
    flat = (patches - patches.mean((-2, -1), keepdim=True))[:, 0] * window[:, None] * window[None, :]
    power = torch.fft.rfft2(flat, norm="ortho").abs().square_()
    level = to_level(power)
    place, share = _band_of(bands, str(patches.device))
    sums = torch.zeros(len(level), bands + 1, device=level.device)
    sums.index_add_(1, place, level.flatten(1))
    return (sums[:, :bands] * share)[:, filled(bands)]


def display_spectrum(config: SpectrumConfig, patches: Tensor) -> Tensor:
    """(B,bands) `spectrum` of the light of (B,1,512,512) display values, as a network reads it."""
    return spectrum(patches.clamp_min(0) ** config.gamma, config.bands)


@cache
def filled(bands: int) -> Tensor:
    """(bands,) for each band the nearest at or below it that has frequencies of a patch in it."""
    place, _ = _band_of(bands, "cpu")
    counted = torch.bincount(place, minlength=bands + 1)[:bands] > 0
    return torch.cummax(torch.where(counted, torch.arange(bands), 0), 0).values


def to_level(power: Tensor) -> Tensor:
    """What `spectrum` tells of a power."""
    return ((power + _LEAST).log() - _MIDDLE) / SPREAD


def to_power(level: Tensor) -> Tensor:
    """The power that `spectrum` tells as ``level``."""
    return (level * SPREAD + _MIDDLE).exp()


def classes_of(config: SpectrumConfig, device: torch.device | str = "cpu") -> Tensor:
    """(places,) logarithms of the distances of the classes: evenly spread, so that shares of error count."""
    ends = math.log(_NEAREST), math.log(config.positions)
    return torch.linspace(*ends, config.places, device=device)


def labels(config: SpectrumConfig, distance: Tensor) -> Tensor:
    """(B,places) probabilities to be learned for distances (B,) [positions]: a narrow bell."""
    classes = classes_of(config, distance.device)
    off = (distance.clamp_min(_NEAREST).log()[:, None] - classes) / (classes[1] - classes[0])
    return torch.softmax(-0.5 * (off / _LABEL_SD).square(), dim=1)


def likeliest(config: SpectrumConfig, logits: Tensor) -> Tensor:
    """(B,) distance [positions] from (B,places) logits: the mean round the likeliest class."""
    near = torch.arange(-_AROUND, _AROUND + 1, device=logits.device)
    at = (logits.argmax(1, keepdim=True) + near).clamp(0, config.places - 1)
    share = torch.softmax(logits.gather(1, at), dim=1)
    return (classes_of(config, logits.device)[at] * share).sum(1).exp()


class SpectrumSteps(nn.Module):
    """Reads spectra; `of_patches` begins with patches."""

    def __init__(self, config: SpectrumConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.bands, *config.hidden, config.places + 1)
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))

    def forward(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """(B,bands) -> logits of distance (B,places), and (B,) of being in focus."""
        x = spectra
        for linear in self.linears[:-1]:
            x = F.silu(linear(x))
        told = self.linears[-1](x)
        return told[:, :-1], told[:, -1]

    def of_patches(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(B,1,512,512) display values -> (B,) positions away from focus, (B,) logits of being in focus."""
        logits, focused = self(display_spectrum(self.config, patches))
        return likeliest(self.config, logits), focused


def load_spectrum(name: str | Path, device: torch.device | str = "cpu") -> SpectrumSteps:
    """A trained network by the name or path of its weights; errors as `dff.weights.load_network`."""

    def build(config: dict[str, Any]) -> SpectrumSteps:
        return SpectrumSteps(SpectrumConfig(**config | {"hidden": tuple(config["hidden"])}))

    return load_network(name, SPECTRUM, build, device)
