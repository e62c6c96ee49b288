"""Any folder of pictures with depth: focal stacks are simulated from them when they are asked for.

Which files go together is told in `dff.simulator.rgbd_pairs`; the camera is drawn anew for every stack. Every
fifth picture is for "val".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from dff.data.folder import simulated_sample
from dff.data.sample import DataSet, DepthSample, Samples
from dff.simulator.camera_model import Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.dataset import Dataset
from dff.simulator.rgbd_pairs import RgbdPair, find_pairs
from dff.simulator.sources import RgbdScenes

SIZE = 256, 256
SLICES = 10
STACKS = {"train": 10000, "val": 200}
CAMERA = "random_camera"
HELD_OUT_EVERY = 5


@dataclass(frozen=True)
class _PartOfScenes(RgbdScenes):
    held_out: bool = False

    @cached_property
    def pairs(self) -> list[RgbdPair]:
        found = find_pairs(self.folder, self.depth_unit)
        if len(found) < HELD_OUT_EVERY:
            return found  # too few to part: all for both
        return [pair for k, pair in enumerate(found) if (k % HELD_OUT_EVERY == 0) == self.held_out]


def _sample(dataset: Dataset, k: int) -> DepthSample:
    return simulated_sample(dataset.stack(k), f"{k:06d}")


def _read(path: Path, split: str) -> Samples:
    held_out = split == "val"
    scenes = _PartOfScenes(path, held_out=held_out)
    camera, count = load_camera(CAMERA), STACKS[split]
    dataset = Dataset(scenes, camera, CAMERA, Frame(SIZE), count, seed=int(held_out), n_slices=SLICES)
    dataset.check()
    return Samples([f"{k:06d}" for k in range(count)], partial(_sample, dataset))


RGBD = DataSet("rgbd", ("train", "val"), "DIR/image/NAME.png with DIR/depth_mm/NAME.png, and the like", _read)
