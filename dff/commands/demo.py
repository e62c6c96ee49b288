"""`dff demo`: the sample stack, everything run on it, and the result beside the truth."""

from __future__ import annotations

import numpy as np

from dff import metrics
from dff.commands import telling
from dff.commands.options import Demo, Predict
from dff.commands.terminal import Terminal
from dff.commands.verbs import predict
from dff.formats.safe_write import check_folder
from dff.formats.vis import colourise
from dff.simulator.demo import read_sample, write_demo
from dff.stack import DepthMap


def demo(options: Demo) -> None:
    """Copy the stack into ``out``/stack, predict with every output into ``out``, compare with the truth."""
    folder = check_folder(options.out, options.overwrite)
    stack = folder / "stack"
    if folder.is_dir():
        check_folder(stack, options.overwrite)
    terminal = Terminal(options.quiet, options.json)
    terminal.say(f"copying a focal stack into {stack}/ (a laid table, rendered, 2 m to 0.25 m)")
    folder.mkdir(exist_ok=True)
    write_demo(stack, overwrite=options.overwrite)
    sample = read_sample(stack)
    result = predict(
        Predict(
            stack=(str(stack),),
            out=str(folder / "depth.png"),
            aif=str(folder / "all_in_focus.png"),
            confidence=str(folder / "confidence.png"),
            vis=str(folder / "depth_vis.png"),
            mesh=str(folder / "mesh.glb"),
            aligned=str(folder / "aligned"),
            save_steps=str(folder / "steps"),
            report=str(folder / "report.json"),
            reference=str(sample.reference),  # the slice that the truth belongs to
            json=options.json,
            quiet=options.quiet,
            overwrite=options.overwrite,
        )
    )
    terminal.say("", *telling.alignment_table(result.report()["slices"]), "")
    terminal.say(*_errors(result.depth, sample.dioptre, sample.valid), "")
    colours = colourise(result.depth)[: sample.stack.height, : sample.stack.width]
    terminal.picture(colours)
    terminal.say(f"look at {folder / 'depth_vis.png'} and {folder / 'all_in_focus.png'}")


def _errors(depth: DepthMap, truth: np.ndarray, known: np.ndarray) -> list[str]:
    """Mean error against the truth (H,W) [dioptre] where depth is found and ``known`` (H,W)."""
    assert depth.dioptre is not None
    valid = depth.valid & (depth.dioptre > 0) & known
    if not valid.any():
        return ["depth is known nowhere"]
    dioptre = metrics.mae(depth.dioptre, truth, valid)
    metre = metrics.mae(1 / np.where(valid, depth.dioptre, 1), 1 / np.where(valid, truth, 1), valid)
    span = float(np.ptp(depth.positions))
    return [
        f"depth error over the {100 * valid.mean():.1f} % of pixels where depth is known: "
        f"{dioptre:.3f} dioptres ({100 * dioptre / span:.1f} % of the focus range), {metre:.3f} m"
    ]
