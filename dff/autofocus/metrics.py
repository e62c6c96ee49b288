"""How good and how steady autofocus is, over all starting positions, and whether it hunts.

A model is judged by its maps: (P,K) int, what it answers for each of P patches from each of K focal indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WITHIN = (0, 1, 2, 4)
_CHUNK = 4096  # patches walked at a time: K x K flags each


def _maps(answers: np.ndarray) -> np.ndarray:
    maps = np.asarray(answers)
    if maps.ndim != 2 or 0 in maps.shape:
        raise ValueError(f"answers of shape {maps.shape}; give (patches, starting positions)")
    if not np.all(np.isfinite(maps)):
        raise ValueError("answers: NaN or infinity among the focal indices")
    return maps


def accuracy(answers: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Shares of answers within 0, 1, 2, 4 indices, MAE and RMSE [index] (Herrmann et al. 2020, section 7).

    Args:
        answers: (P,) focal indices, or (P,K) from K starting positions, all of which count alike.
        truth: (P,) focal index in focus.
    """
    answers, truth = np.asarray(answers, np.float64), np.asarray(truth, np.float64)
    if answers.ndim not in (1, 2) or answers.shape[:1] != truth.shape or answers.size == 0:
        raise ValueError(f"answers {answers.shape} and truth {truth.shape}; give (P,) or (P,K), and (P,)")
    error = np.abs(answers - (truth if answers.ndim == 1 else truth[:, None]))
    shares = {f"within_{limit}": float((error <= limit).mean()) for limit in WITHIN}
    return {**shares, "mae": float(error.mean()), "rmse": float(np.sqrt(np.square(error).mean()))}


def msd_star(answers: np.ndarray) -> float:
    """MSD*: standard deviation over the starting positions [index], mean over patches.

    Of the whole population of K starts (divisor K), as published values of 1 to 4 indices fit.
    """
    return float(_maps(answers).std(axis=1).mean())


def total_variation(answers: np.ndarray) -> dict[str, float]:
    """|change of the answer| between adjacent starts [index]: ``tv_mean`` over the K-1 steps, ``tv_sum``.

    Both are means over patches. The published values (0.3 to 1.6) are means, though Eq. 12 has a sum.
    """
    steps = np.abs(np.diff(_maps(answers), axis=1))
    if steps.shape[1] == 0:
        return {"tv_mean": 0.0, "tv_sum": 0.0}
    return {"tv_mean": float(steps.mean()), "tv_sum": float(steps.sum(axis=1).mean())}


def cycles(answers: np.ndarray) -> list[tuple[int, ...]]:
    """The cycles of one map (K,), each from its least index; length 1, where the lens rests, first."""
    where = np.asarray(answers)
    found = set()
    for start in range(where.size):
        path, seen = start, set()
        while path not in seen:
            seen.add(path)
            path = int(where[path])
        ring = [path]
        while int(where[ring[-1]]) != path:
            ring.append(int(where[ring[-1]]))
        least = ring.index(min(ring))
        found.add(tuple(ring[least:] + ring[:least]))
    return sorted(found, key=lambda ring: (len(ring), ring))


@dataclass(frozen=True, eq=False)
class Hunting:
    """The closed loop k -> M(k) from every start of every patch, until it rests or comes round again.

    Args:
        settled: (P,K) index where the lens comes to rest, -1 where it goes round in a cycle for ever.
        moves: (P,K) moves until it rests, or until a place is reached a second time.
        reversals: (P,K) how often the lens turned round meanwhile.
        travel: (P,K) indices travelled meanwhile.
    """

    settled: np.ndarray
    moves: np.ndarray
    reversals: np.ndarray
    travel: np.ndarray

    @property
    def cyclic(self) -> np.ndarray:
        """(P,K) bool: starts that end in a cycle of two or more places."""
        return self.settled < 0

    def summary(self, truth: np.ndarray) -> dict[str, float]:
        """Shares and means over all patches and starts.

        ``hunting_share`` of the starts, ``hunting_patches`` (with any such start), mean ``moves`` and
        ``reversals``, ``travel_ratio``: way travelled over the direct way from start to ``truth`` (P,), as a
        ratio of sums, so that starts in focus need no exception.
        """
        start = np.arange(self.settled.shape[1])
        direct = np.abs(start - np.asarray(truth)[:, None]).sum()
        return {
            "hunting_share": float(self.cyclic.mean()),
            "hunting_patches": float(self.cyclic.any(axis=1).mean()),
            "moves": float(self.moves.mean()),
            "reversals": float(self.reversals.mean()),
            "travel_ratio": float(self.travel.sum() / direct) if direct else float("nan"),
        }


def hunting(answers: np.ndarray) -> Hunting:
    """Follow every start of (P,K) maps.

    Raises:
        ValueError: answers that are no focal indices 0..K-1 of a map of all K starts.
    """
    maps = _maps(answers).astype(np.int64)
    count = maps.shape[1]
    if not np.array_equal(maps, answers) or maps.min() < 0 or maps.max() >= count:
        raise ValueError(
            f"hunting needs whole focal indices 0 to {count - 1}, one for each of {count} starts"
        )
    parts = [_walk(maps[at : at + _CHUNK]) for at in range(0, len(maps), _CHUNK)]
    return Hunting(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _walk(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    patches, count = maps.shape
    place = np.tile(np.arange(count), (patches, 1))
    seen = np.eye(count, dtype=bool)[place]
    settled = np.full((patches, count), -1)
    moves, reversals, travel, last = (np.zeros((patches, count), np.int64) for _ in range(4))
    active = np.ones((patches, count), bool)
    while active.any():
        following = np.take_along_axis(maps, place, axis=1)
        step = np.where(active, following - place, 0)
        rests = active & (step == 0)
        settled[rests] = place[rests]
        active &= ~rests
        moves += active
        travel += np.abs(step)
        reversals += (np.sign(step) * last < 0) & active
        last = np.where(step != 0, np.sign(step), last)
        place = np.where(active, following, place)
        again = np.take_along_axis(seen, place[..., None], axis=2)[..., 0] & active
        np.put_along_axis(seen, place[..., None], True, axis=2)
        active &= ~again
    return settled, moves, reversals, travel


def report(answers: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """All of the above for (P,K) maps and (P,) truths, in one row."""
    unsteady = {"msd_star": msd_star(answers), **total_variation(answers)}
    return {**accuracy(answers, truth), **unsteady, **hunting(answers).summary(truth)}
