"""The 37 contrast measures of Herrmann et al. 2020 (Table 1, rows I*) by name, with published errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dff.autofocus import measures_gradient as gradient
from dff.autofocus import measures_local as local
from dff.autofocus import measures_statistics as statistics
from dff.autofocus import measures_transform as transform
from dff.autofocus import measures_wavelet as wavelet


@dataclass(frozen=True)
class Measure:
    """A contrast measure: (...,H,W) float patches, 0 = black level, 1 = white -> (...,) sharpness.

    Args:
        function: what it does.
        title: its name in the paper.
        mae, rmse: published error [index] of its sharpest slice of 49.
    """

    function: Callable[[np.ndarray], np.ndarray]
    title: str
    mae: float
    rmse: float

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        return self.function(patches)


def _each(
    function: Callable[..., np.ndarray], title: str, published: dict[float, tuple[float, float]]
) -> dict[str, Measure]:
    """One measure for each value of a parameter; it goes last in name and title."""
    name = function.__name__.replace("_", "-")
    return {
        f"{name}-{value:g}": Measure(partial(_of, function, value), f"{title} {value:g})", *errors)
        for value, errors in published.items()
    }


def _of(function: Callable[..., np.ndarray], value: float, patches: np.ndarray) -> np.ndarray:
    return function(patches, value)


MEASURES: dict[str, Measure] = {
    "dct-reduced-energy-ratio": Measure(
        transform.dct_reduced_energy_ratio, "DCT Reduced Energy Ratio", 18.673, 22.855
    ),
    "total-variation-l1": Measure(gradient.total_variation_l1, "Total Variation (L1)", 15.817, 21.013),
    "histogram-entropy": Measure(statistics.histogram_entropy, "Histogram Entropy", 14.013, 20.223),
    "modified-dct": Measure(transform.modified_dct, "Modified DCT", 15.713, 20.197),
    **_each(gradient.gradient_count, "Gradient Count (t =", {3: (9.543, 16.448), 10: (9.103, 16.218)}),
    "dct-energy-ratio": Measure(transform.dct_energy_ratio, "DCT Energy Ratio", 9.556, 15.286),
    "eigenvalue-trace": Measure(statistics.eigenvalue_trace, "Eigenvalue Trace", 8.827, 14.594),
    "intensity-variance": Measure(statistics.intensity_variance, "Intensity Variance", 8.825, 14.593),
    "coefficient-of-variation": Measure(
        statistics.coefficient_of_variation, "Intensity Coefficient of Variation", 8.068, 13.808
    ),
    **_each(
        statistics.percentile_range,
        "Percentile Range (p =",
        {3: (8.404, 13.761), 1: (7.126, 12.312), 0.3: (6.372, 11.456)},
    ),
    "total-variation-l2": Measure(gradient.total_variation_l2, "Total Variation (L2)", 5.488, 11.409),
    "sum-of-modified-laplacian": Measure(
        gradient.sum_of_modified_laplacian, "Sum of Modified Laplacian", 4.169, 9.781
    ),
    "diagonal-laplacian": Measure(gradient.diagonal_laplacian, "Diagonal Laplacian", 4.006, 9.467),
    "laplacian-energy": Measure(gradient.laplacian_energy, "Laplacian Energy", 3.917, 9.062),
    "laplacian-variance": Measure(gradient.laplacian_variance, "Laplacian Variance", 3.795, 8.239),
    **_each(
        local.mean_local_log_ratio,
        "Mean Local Log-Ratio (sigma =",
        {1: (2.652, 6.396), 2: (2.067, 4.554), 4: (2.083, 4.305)},
    ),
    **_each(
        local.mean_local_ratio,
        "Mean Local Ratio (sigma =",
        {1: (2.645, 6.374), 2: (2.072, 4.569), 4: (2.085, 4.309)},
    ),
    **_each(
        local.mean_local_norm_dist_sq,
        "Mean Local Norm-Dist-Sq (sigma =",
        {1: (2.526, 5.924), 2: (2.056, 4.395), 4: (2.059, 4.164)},
    ),
    "mean-gradient-magnitude": Measure(
        gradient.mean_gradient_magnitude, "Mean Gradient Magnitude", 2.359, 5.284
    ),
    "gradient-magnitude-variance": Measure(
        gradient.gradient_magnitude_variance, "Gradient Magnitude Variance", 2.374, 5.103
    ),
    **_each(wavelet.wavelet_sum, "Wavelet Sum (l =", {2: (2.392, 5.650), 3: (2.446, 4.531)}),
    **_each(wavelet.wavelet_variance, "Wavelet Variance (l =", {2: (2.398, 5.105), 3: (2.761, 5.006)}),
    **_each(wavelet.wavelet_ratio, "Wavelet Ratio (l =", {2: (2.265, 4.559), 3: (2.706, 4.856)}),
    **_each(
        wavelet.mean_wavelet_log_ratio, "Mean Wavelet Log-Ratio (l =", {2: (2.191, 4.843), 3: (2.358, 4.174)}
    ),
}

ARTEFACTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "total-variation-l1": gradient.total_variation_l1_signed,
    "modified-dct": transform.modified_dct_signed,
}
"""Measures whose published rows are near chance, and what explains them: a signed mean, which cancels out."""


def measure(name: str) -> Measure:
    """The measure of that name.

    Raises:
        ValueError: unknown name.
    """
    if name not in MEASURES:
        raise ValueError(f"contrast measure {name!r}; choose from {', '.join(MEASURES)}")
    return MEASURES[name]


def sharpest(name: str, patches: np.ndarray) -> np.ndarray:
    """Index of the sharpest slice of (...,K,H,W) patches, (...,) int; of equal ones the farthest."""
    return np.asarray(measure(name)(patches).argmax(axis=-1))
