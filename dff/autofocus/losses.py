"""Losses of learned autofocus: soft ordinal labels, and agreement between the slices of one scene.

Logits are (...,K) over focal indices 0..K-1. The losses of agreement take (S,F,K): S scenes, each seen from
F focal indices, which should all be given the same answer (Focal Consistency Loss, WACV 2025, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Cost = Literal["square", "absolute"]
Divergence = Literal["kld", "jsd"]
Reduction = Literal["sum", "mean", "per-class"]

LEAST_SPREAD = (
    1e-4  # of the sweep: below it the gradient of the standard deviation fades instead of blowing up
)


@dataclass(frozen=True)
class FocalConsistencyConfig:
    """Weights of the losses.

    Args:
        cost: of the soft labels; see `soft_labels`.
        divergence: what pairs of predictions are compared by: "kld" or "jsd".
        divergence_weight, msd_weight: of the two losses of agreement; 4 and 4 are the paper's for one
            dual-pixel slice, (4, 0) its row KLD and (0, 6) its row MSD.
        reduction: of the divergence; see `kld`.
        beta: sharpness of the soft argmax.
        from_progress: share of the training after which agreement counts (the paper: half).

    Raises:
        ValueError: an unknown choice, a negative weight, or a share outside [0,1].
    """

    cost: Cost = "square"
    divergence: Divergence = "kld"
    divergence_weight: float = 4.0
    msd_weight: float = 4.0
    reduction: Reduction = "per-class"
    beta: float = 2.0
    from_progress: float = 0.5

    def __post_init__(self) -> None:
        _choice("cost", self.cost, get_args(Cost))
        _choice("divergence", self.divergence, get_args(Divergence))
        _choice("reduction", self.reduction, get_args(Reduction))
        if min(self.divergence_weight, self.msd_weight) < 0 or self.beta <= 0:
            raise ValueError("FocalConsistencyConfig: weights must be >= 0 and beta > 0")
        if not 0 <= self.from_progress <= 1:
            raise ValueError(f"FocalConsistencyConfig: from_progress {self.from_progress}; give 0 to 1")


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r}; choose from {', '.join(known)}")


def soft_labels(target: Tensor, count: int, cost: Cost = "square") -> Tensor:
    """(...) focal indices -> (...,K) label y_k ~ exp(-(k - target)^2), or exp(-|k - target|).

    "square" is Eq. 1 of the Focal Consistency Loss paper and the "L2 cost" of Learning to Autofocus (section
    6), after Diaz & Marathe 2019; "absolute" is what the latter's words "Laplacian" would mean.

    Raises:
        ValueError: unknown cost.
    """
    _choice("cost", cost, get_args(Cost))
    dtype = target.dtype if target.is_floating_point() else torch.get_default_dtype()
    distance = torch.arange(count, device=target.device, dtype=dtype) - target[..., None].to(dtype)
    return torch.softmax(-(distance.square() if cost == "square" else distance.abs()), dim=-1)


def ordinal_loss(logits: Tensor, target: Tensor, cost: Cost = "square") -> Tensor:
    """Mean cross-entropy [nats] of (...,K) logits with the soft labels of (...) targets.

    It cannot fall below the entropy of the labels: 1.0714 nats ("square") or 1.6229 ("absolute") inside the
    sweep.
    """
    labels = soft_labels(target.to(logits.dtype), logits.shape[-1], cost)
    return -(labels * F.log_softmax(logits, dim=-1)).sum(-1).mean()


def _pairs(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of both members of every pair of (S,F,K), each (S,P,K) with P = F(F-1)/2."""
    if logits.ndim != 3:
        raise ValueError(f"logits of shape {tuple(logits.shape)}; give (scenes, focal indices, classes)")
    first, second = torch.triu_indices(logits.shape[1], logits.shape[1], 1, device=logits.device)
    log_p = F.log_softmax(logits, dim=-1)
    return log_p[:, first], log_p[:, second]


def _reduced(divergence: Tensor, classes: int, reduction: Reduction) -> Tensor:
    """(S,P) divergences -> their sum or mean over the pairs, averaged over the scenes."""
    _choice("reduction", reduction, get_args(Reduction))
    if divergence.shape[1] == 0:
        return divergence.sum()  # one slice agrees with itself
    if reduction == "mean":
        return divergence.mean()
    total = divergence.sum(1).mean()
    return total / classes if reduction == "per-class" else total


def kld(logits: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Half the Jeffreys divergence [nats] of all pairs of predictions of a scene (Eq. 3-4 of the paper).

    Args:
        logits: (S,F,K).
        reduction: "sum" over the pairs, as the equations say; "mean" over them; "per-class": the sum over K,
            which is what a mean over classes, as in ``torch.nn.functional.kl_div``, gives. With the last the
            paper's weight of 4 kept the accuracy, as its tables do, in a small trial; with "sum" it did not.

    Returns:
        The mean over scenes; zero when all agree, or when F is 1. The gradient reaches both members.
    """
    log_p, log_q = _pairs(logits)
    divergence = 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1)
    return _reduced(divergence, logits.shape[-1], reduction)


def jsd(logits: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Jensen-Shannon divergence [nats] of all pairs, as `kld`; at most ln 2 a pair (supplement, Eq. 1)."""
    log_p, log_q = _pairs(logits)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(log_p.new_tensor(2.0))
    divergence = 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(-1)
    return _reduced(divergence, logits.shape[-1], reduction)


def soft_argmax(logits: Tensor, beta: float = 2.0) -> Tensor:
    """(...,K) logits -> (...) expected place in the sweep, 1/K (farthest) to 1 (nearest) (Eq. 6)."""
    count = logits.shape[-1]
    place = torch.arange(1, count + 1, device=logits.device, dtype=logits.dtype) / count
    return (torch.softmax(beta * logits, dim=-1) * place).sum(-1)


def msd(logits: Tensor, beta: float = 2.0) -> Tensor:
    """Standard deviation of a scene's soft argmax over its F slices, mean over scenes (Eq. 7).

    In shares of the sweep (index / K): in index units the published weights would drown the labels. The
    estimator is that of a whole population; zero, with a finite gradient, when all agree.
    """
    if logits.ndim != 3:
        raise ValueError(f"logits of shape {tuple(logits.shape)}; give (scenes, focal indices, classes)")
    variance = soft_argmax(logits, beta).var(dim=1, unbiased=False)
    return ((variance + LEAST_SPREAD**2).sqrt() - LEAST_SPREAD).mean()


def focal_consistency_loss(
    logits: Tensor, target: Tensor, progress: float, config: FocalConsistencyConfig | None = None
) -> dict[str, Tensor]:
    """The whole loss of a batch: ordinal, and weighted divergence and MSD once they are switched on (Eq. 8).

    Args:
        logits: (S,F,K) of S scenes seen from F focal indices.
        target: (S,) focal index in focus of each scene.
        progress: share of the training that is done, in [0,1].
        config: weights; None: the defaults.

    Returns:
        "total", with a gradient, and its parts "ordinal", "divergence", "msd", before their weights.
    """
    config = config or FocalConsistencyConfig()
    ordinal = ordinal_loss(logits, target[:, None].expand(logits.shape[:2]), config.cost)
    diverge = kld if config.divergence == "kld" else jsd
    parts = {
        "ordinal": ordinal,
        "divergence": diverge(logits, config.reduction),
        "msd": msd(logits, config.beta),
    }
    total = ordinal
    if progress >= config.from_progress:
        total = total + config.divergence_weight * parts["divergence"] + config.msd_weight * parts["msd"]
    return {"total": total, **{name: part.detach() for name, part in parts.items()}}
