"""Point spread functions: the image of a point through a lens pupil, by name.

Pupil coordinates (x, y) are in pupil radii, x right and y down. A point whose signed circle of confusion is c
sends the light of pupil place (x, y) to c/2 (x, y) pixels beside its image: nearer than the focus (c > 0) the
kernel is the pupil, behind it the kernel is mirrored at its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Kind = Literal["disc", "polygon", "ring", "gaussian", "super_gaussian"]
Half = Literal["left", "right"]
Place = tuple[float, float]  # (x, y) in the field over the distance of the corner; (0, 0) is the optical axis

FAINTEST = 1e-3  # kernels without an edge end where they have fallen to this
_PUPIL_SAMPLES = 256  # across, for moments of the pupil itself


@dataclass(frozen=True)
class Field:
    """Where the optical axis meets a picture, and how far out its corner is.

    Args:
        axis_px: (x, y) of the axis, pixel centres at integers.
        corner_px: distance from the axis that counts as 1.
    """

    axis_px: Place
    corner_px: float

    def __post_init__(self) -> None:
        if not self.corner_px > 0:
            raise ValueError(f"Field: corner_px {self.corner_px} must be above 0")

    @staticmethod
    def middle(size: tuple[int, int]) -> Field:
        """Axis in the middle of a picture of ``size`` (h, w), corner at half its diagonal."""
        return Field(((size[1] - 1) / 2, (size[0] - 1) / 2), math.hypot(*size) / 2)

    def place(self, x: Any, y: Any) -> Any:
        """(x, y) of pixels (numbers or tensors) as places of the field."""
        return (x - self.axis_px[0]) / self.corner_px, (y - self.axis_px[1]) / self.corner_px


@dataclass(frozen=True)
class PSF:
    """One kind of point spread function; a table of a camera recipe.

    Args:
        kind: "disc": even light in a circle as wide as the circle of confusion. "polygon": even light in a
            regular polygon of the disc's area. "ring": a disc with a dark middle, light rising outwards as
            a high-pass Butterworth filter (Abuolaim et al., ICCV 2021, section 4); its edge is the disc's.
            "gaussian", "super_gaussian": exp(-(r/s)^2), exp(-(r/s)^order), of the disc's second moment
            (mean squared radius c^2/8), cut off at 0.1 % of their peak.
        blades: of the polygon, 3 or more.
        rotation_deg: of the polygon; at 0 one edge is upright on the right, positive turns clockwise.
        softness: width of the edge of disc, polygon and ring in pupil radii, 0 to 1. The area stays.
        order: of the ring's filter (1 to 20) or exponent of the super-Gaussian (2 is the Gaussian; to 20).
        hollow: share of its light that the ring's middle lacks, 0 to 1.
        cutoff: radius in pupil radii where the ring has made good half of that.
        cats_eye: how far the second pupil that clips the light has moved at the corner of the field, in
            pupil radii, 0 (none) to 1.5: highlights become lemons towards the corners.
        split_ramp: dual pixel, width in pupil radii of the ramp between the halves: 0 cuts the pupil in two,
            2 falls over all of it.
        crosstalk: dual pixel, share of the other half's light that each half receives, 0 to 0.5.
    """

    kind: Kind = "disc"
    blades: int = 6
    rotation_deg: float = 0.0
    softness: float = 0.0
    order: float = 4.0
    hollow: float = 0.8
    cutoff: float = 0.8
    cats_eye: float = 0.0
    split_ramp: float = 0.5
    crosstalk: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"PSF: kind {self.kind!r}; choose from {', '.join(get_args(Kind))}")
        if self.blades < 3:
            raise ValueError(f"PSF: blades {self.blades}; a polygon has 3 or more")
        limits = {
            "softness": (0.0, 1.0),
            "order": (2.0 if self.kind == "super_gaussian" else 1.0, 20.0),
            "hollow": (0.0, 1.0),
            "cutoff": (0.1, 2.0),
            "cats_eye": (0.0, 1.5),
            "split_ramp": (0.0, 4.0),
            "crosstalk": (0.0, 0.5),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"PSF: {name} {getattr(self, name)} must be between {low:g} and {high:g}")
        if not math.isfinite(self.rotation_deg):
            raise ValueError(f"PSF: rotation_deg {self.rotation_deg} must be a number")

    @property
    def reach(self) -> float:
        """Radius of the circle round everything, in pupil radii."""
        if self.kind.endswith("gaussian"):
            return _edge(self)
        corner = 1 / math.cos(math.pi / self.blades) if self.kind == "polygon" else 1.0
        return _edge(self) + corner * self.softness / 2

    def symmetric(self, half: Half | None = None) -> bool:
        """Whether kernels are the same in front of the focus and behind it."""
        return half is None and not self.cats_eye and (self.kind != "polygon" or self.blades % 2 == 0)


# --- the pupil -------------------------------------------------------------------------------------------


def _exponent(psf: PSF) -> float:
    return psf.order if psf.kind == "super_gaussian" else 2.0


def _width(psf: PSF) -> float:
    """s of exp(-(r/s)^k) with a mean squared radius of 1/2, the disc's."""
    k = _exponent(psf)
    return math.sqrt(math.gamma(2 / k) / math.gamma(4 / k) / 2)


def _edge(psf: PSF) -> float:
    """Farthest place of the pupil's edge (its middle if soft) from the axis."""
    if psf.kind.endswith("gaussian"):
        return _width(psf) * (-math.log(FAINTEST)) ** (1 / _exponent(psf))
    # a ramp across the edge adds pi softness^2 / 12 to the area of a disc
    if psf.kind == "polygon":
        shape = psf.blades * math.tan(math.pi / psf.blades) / math.pi  # area over that of the inner circle
        return math.sqrt(1 / shape - psf.softness**2 / 12) / math.cos(math.pi / psf.blades)
    return math.sqrt(1 - psf.softness**2 / 12)


def transmission(psf: PSF, x: Tensor, y: Tensor, place: Any = (0.0, 0.0), finest: float = 0.0) -> Tensor:
    """Light that passes the pupil at (x, y) [pupil radii], 0 to 1, for a point at ``place`` of the field.

    Args:
        place: (x, y) of `Field.place`, numbers or tensors that broadcast with x and y.
        finest: width [pupil radii] that no edge is sharper than, for antialiasing.
    """
    radius = torch.hypot(x, y)
    edge, soft = _edge(psf), max(psf.softness, finest, 1e-9)
    if psf.kind == "polygon":
        turn = math.radians(psf.rotation_deg)
        normals = [turn + 2 * math.pi * k / psf.blades for k in range(psf.blades)]
        beyond = torch.stack([x * math.cos(a) + y * math.sin(a) for a in normals]).amax(0)
        inside = edge * math.cos(math.pi / psf.blades) - beyond
    else:
        inside = edge - radius
    if psf.kind.endswith("gaussian"):
        soft = max(finest, 1e-9)
        light = torch.exp(-((radius / _width(psf)) ** _exponent(psf)))
    elif psf.kind == "ring":
        rise = (radius / psf.cutoff) ** (2 * psf.order)
        light = 1 - psf.hollow / (1 + rise)
    else:
        light = torch.ones_like(radius)
    if psf.cats_eye:
        clip = torch.hypot(x - psf.cats_eye * place[0], y - psf.cats_eye * place[1])
        inside = torch.minimum(inside, edge - clip)
    return light * (0.5 + inside / soft).clamp(0, 1)


def left_share(psf: PSF, x: Tensor, centre: float, finest: float = 0.0) -> Tensor:
    """Share of the light at pupil place x that the left half receives; the right one has the rest."""
    ramp = max(psf.split_ramp, finest, 1e-9)
    return psf.crosstalk + (1 - 2 * psf.crosstalk) * (0.5 - (x - centre) / ramp).clamp(0, 1)


def split_centre(psf: PSF, x: Tensor, columns: Tensor, finest: float = 0.0) -> float:
    """Where to split so that both halves get as much light: 0 but for lopsided pupils."""
    low, high = float(x[0]), float(x[-1])
    for _ in range(48):
        middle = (low + high) / 2
        left = float((columns * left_share(psf, x, middle, finest)).sum())
        low, high = (middle, high) if left < float(columns.sum()) / 2 else (low, middle)
    return (low + high) / 2


def _pupil_grid(psf: PSF, place: Place) -> tuple[Tensor, Tensor]:
    """Positions (S,) and light (S,S) on a fine grid."""
    at = ((torch.arange(_PUPIL_SAMPLES, dtype=torch.float64) + 0.5) * 2 / _PUPIL_SAMPLES - 1) * psf.reach
    return at, transmission(psf, at[None, :], at[:, None], place, finest=float(at[1] - at[0]))


@lru_cache(maxsize=256)
def mean_squared_radius(psf: PSF, place: Place) -> float:
    at, light = _pupil_grid(psf, place)
    return float((light * (at[:, None] ** 2 + at[None, :] ** 2)).sum() / light.sum())


def share(psf: PSF, x: Tensor, half: Half | None, place: Place = (0.0, 0.0)) -> Tensor:
    """Weight of pupil column x [pupil radii] in a half-aperture picture, averaging 1 over the pupil's light.

    1 everywhere for the full aperture (``half`` None); left and right average to 1 everywhere.
    """
    if half is None:
        return torch.ones_like(x)
    at, light = _pupil_grid(psf, place)
    left = 2 * left_share(psf, x, split_centre(psf, at, light.sum(0)))
    return left if half == "left" else 2 - left


@lru_cache(maxsize=256)
def disparity_per_coc_px(psf: PSF, place: Place = (0.0, 0.0)) -> float:
    """Shift of the right half's picture against the left one's, in px per px of signed circle of confusion.

    Between the centroids of the half kernels. Positive: what is nearer than the focus lies farther to the
    right in the right picture. A disc cut in two (no ramp, no crosstalk) gives 4 / (3 pi) = 0.424.
    """
    at, light = _pupil_grid(psf, place)
    columns = light.sum(0) / light.sum()
    # half the distance of the centroids in pupil radii, which are half a circle of confusion
    return float((columns * at * (1 - share(psf, at, "left", place))).sum())
