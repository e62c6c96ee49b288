"""Tables of the autofocus head's benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff.autofocus.answer import SURE, resting
from dff.autofocus.metrics import WITHIN, accuracy, hunting, report
from dff.eval.focus_head_stacks import Answers
from dff.eval.report import Cell, Table


def rest_of(told: dict[str, list[Answers]]) -> dict[str, np.ndarray]:
    """(P,K) where a lens goes from every start that stays where the head is not sure of the side."""
    return {
        name: np.concatenate([resting(one.share, np.arange(one.share.shape[-1])) for one in answers])
        for name, answers in told.items()
    }


def sureness_of(told: dict[str, list[Answers]]) -> dict[str, np.ndarray]:
    """(P,F) confidence of the answers."""
    return {name: np.concatenate([one.confidence for one in answers]) for name, answers in told.items()}


@dataclass(eq=False)
class Found:
    """Answers on P regions of one kind of scenes: (P,) each; from all starts (P',K), of the first P'."""

    truth: np.ndarray
    mixed: np.ndarray
    whole: dict[str, np.ndarray]
    contrast: dict[str, np.ndarray]
    starts: dict[str, np.ndarray]
    until_sure: dict[str, np.ndarray]
    confidence: dict[str, np.ndarray]
    says_mixed: np.ndarray

    @classmethod
    def from_starts(cls, truth: np.ndarray, told: dict[str, list[Answers]]) -> Found:
        """Of P regions, one for each of the answers, that were looked at from all starts alone."""
        parts = {name: np.concatenate([one.index for one in answers]) for name, answers in told.items()}
        blank = np.zeros(len(truth), bool)
        return cls(truth, blank, {}, {}, parts, rest_of(told), sureness_of(told), blank)

    @property
    def best_contrast(self) -> list[str]:
        """Names of the measures, the least mean absolute error first."""
        return sorted(self.contrast, key=lambda name: accuracy(self.contrast[name], self.truth)["mae"])


def _whole_rows(scene: str, found: Found) -> list[list[Cell]]:
    best = {f"contrast, {name}": found.contrast[name] for name in found.best_contrast[:3]}
    rows: list[list[Cell]] = []
    for name, answers in (best | found.whole).items():
        got = accuracy(answers, found.truth)
        of_mixed = np.abs(answers - found.truth)[found.mixed]
        rows.append(
            [
                scene,
                name,
                *(got[f"within_{k}"] for k in WITHIN),
                got["mae"],
                got["rmse"],
                float(of_mixed.mean()) if of_mixed.size else None,
            ]
        )
    return rows


def _start_rows(scene: str, found: Found) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for name, maps in sorted(found.starts.items()):
        truth = found.truth[: len(maps)]
        got = report(maps, truth)
        again = found.until_sure[name]
        rows.append(
            [
                scene,
                name,
                *(got[f"within_{k}"] for k in WITHIN),
                *(got[key] for key in ("mae", "rmse", "msd_star", "tv_mean", "tv_sum")),
                100 * got["hunting_share"],
                100 * hunting(again).summary(truth)["hunting_share"],
                accuracy(again, truth)["mae"],
                got["travel_ratio"],
            ]
        )
    return rows


def _sure_rows(scene: str, found: Found) -> list[list[Cell]]:
    """Confidence beside the share that is right or next to it: of all answers, and of the surer half."""
    rows: list[list[Cell]] = []
    answers = found.starts | {name: found.whole[f"head, {name}"][:, None] for name in ("I*", "D*")}
    for name, index in sorted(answers.items()):
        confidence = found.confidence[name]
        error = np.abs(index - found.truth[: len(index), None])
        sure = confidence >= np.median(confidence)
        rows.append(
            [
                scene,
                name,
                float(confidence.mean()),
                float((error <= 1).mean()),
                float(error.mean()),
                float(error[sure].mean()),
            ]
        )
    return rows


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else float("nan")


def mae_of(found: Found, kind: str) -> float:
    """Mean absolute error [index] of the head, whole stack, "I*" or "D*"."""
    return accuracy(found.whole[f"head, {kind}"], found.truth)["mae"]


def few_table(title: str, found: dict[str, Found], about: str) -> Table:
    """Answers from a few slices that follow one another, from every start; ``about`` says on what."""
    shares = {f"={k}" if k == 0 else f"<={k}": ".3f" for k in WITHIN}
    columns = {
        "scenes": "", "seen": "", **shares, "MAE": ".2f", "RMSE": ".2f", "MSD*": ".2f", "TV mean": ".2f",
        "TV sum": ".1f", "hunting": ".1f", "hunting, until sure": ".1f", "MAE, until sure": ".2f",
        "travel ratio": ".2f",
    }  # fmt: skip
    note = (
        f"{about} I: one picture per slice, D: with its dual-pixel halves; the lens is known to the head. "
        "Hunting: starts that end in a cycle [%]; until sure: of a lens that stays where the head is less "
        f"than {SURE:.0%} sure of the side, and its MAE."
    )
    return Table(title, columns, [row for name, one in found.items() for row in _start_rows(name, one)], note)


def all_tables(found: dict[str, Found], about: str) -> list[Table]:
    """Whole stack, a few slices, confidence, and two depths; ``about`` says how it was made."""
    shares = {f"={k}" if k == 0 else f"<={k}": ".3f" for k in WITHIN}
    errors = {"MAE": ".2f", "RMSE": ".2f"}
    return [
        Table(
            "Whole stack",
            {"scenes": "", "method": "", **shares, **errors, "MAE of two depths": ".2f"},
            [row for scene, one in found.items() for row in _whole_rows(scene, one)],
            about + " Of the 37 contrast measures the best three on these very regions are shown.",
        ),
        few_table("A few slices, from all 49 starts", found, "On the first stacks."),
        Table(
            "Confidence",
            {
                "scenes": "", "seen": "", "confidence": ".3f", "<=1": ".3f", "MAE": ".2f",
                "MAE, surer half": ".2f",
            },
            [row for scene, one in found.items() for row in _sure_rows(scene, one)],
            "Confidence is the probability of being right or next to it: it should equal the column after.",
        ),
        Table(
            "Two depths",
            {
                "scenes": "", "regions": "d", "of two depths": "d", "said so": ".3f",
                "said so of others": ".3f",
            },
            [
                [
                    scene,
                    one.truth.size,
                    int(one.mixed.sum()),
                    _share(one.says_mixed[one.mixed]),
                    _share(one.says_mixed[~one.mixed]),
                ]
                for scene, one in found.items()
            ],
            "Truly two: the rule of `dff.autofocus.from_depth` on true depth.",
        ),
    ]  # fmt: skip
