"""Make patches for autofocus: `python -m dff.train.autofocus_patches OUT.h5 --split train --scenes 600`.

A camera's whole sweep of small regions, by the simulator; the file is described in `dff.data.af_patches`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

if TYPE_CHECKING:
    from dff.simulator.patch_set import PatchSetConfig, PatchStack
    from dff.simulator.photos import PhotoPack

_PER_PATCH = ("index", "ladder_index", "dioptre", "spread", "corner", "light", "snr", "hard")
_ARRAYS = ("left", "right", "depth", "true_focus", "matrices")


@dataclass(frozen=True)
class Arguments:
    """Simulate patches for autofocus.

    Args:
        out: file to write (.h5).
        split: train, val or test: seeds of their own, and photographs of their own.
        scenes: number of scenes; each gives up to as many patches as fit into the region side by side.
        seed: of everything random.
        photos: photographs to paint surfaces with, file or folder: four in five serve train, the rest, in
            turn, val and test.
        camera: a camera model of simulator/cameras.
        size: side of the patches [px].
        region: side of the region that is cut into patches [px].
        workers: processes, one thread each.
        overwrite: replace the file.
    """

    out: tyro.conf.Positional[Path]
    split: Literal["train", "val", "test"] = "train"
    scenes: int = 100
    seed: int = 0
    photos: Path | None = None
    camera: str = "pixel3"
    size: int = 64
    region: int = 128
    workers: int = 1
    overwrite: bool = False


def photos_of(photos: PhotoPack | None, split: str) -> PhotoPack | None:
    """The photographs of one split: no photograph serves two."""
    from dff.simulator.photos import PhotoPack
    from dff.train.source import split as parted

    training, unseen = parted(photos)
    if split == "train" or unseen is None or unseen is training:
        return training
    numbers = {name: k for k, name in enumerate(sorted(set(unseen.credits)))}
    chosen = [
        k for k, name in enumerate(unseen.credits) if (numbers[name] % 2 == 0) == (split == "val")
    ] or list(range(len(unseen)))
    return PhotoPack(unseen.tiles[chosen], tuple(unseen.credits[k] for k in chosen))


def scene_seed(seed: int, split: str, scene: int) -> int:
    """Of one scene; splits share none."""
    from dff.data.af_patches import SPLITS
    from dff.train.source import stream_seed

    return stream_seed(seed, 977, SPLITS.index(split), scene)


def make(arguments: Arguments) -> Path:
    """Simulate and write; returns the file.

    Raises:
        ValueError: settings that cannot be, or a file that cannot be written.
        FileNotFoundError: no such photographs, or no folder to write into.
    """
    from dff.data.af_patches import SUFFIX
    from dff.formats.safe_write import atomic_path, check_output
    from dff.simulator.patch_set import PatchSetConfig
    from dff.simulator.photos import load_photos

    out = check_output(arguments.out, (SUFFIX,), arguments.overwrite)
    if arguments.scenes < 1 or arguments.workers < 1 or arguments.seed < 0:
        raise ValueError("autofocus_patches: give 1 or more scenes and workers, and a seed of 0 or more")
    config = PatchSetConfig(
        camera=arguments.camera, size=arguments.size, region=max(arguments.region, arguments.size)
    )
    photos = photos_of(load_photos(arguments.photos) if arguments.photos else None, arguments.split)
    config.model()
    with atomic_path(out) as temporary:
        _write(temporary, arguments, config, _simulated(arguments, config, photos))
    return out


def _simulated(
    arguments: Arguments, config: PatchSetConfig, photos: PhotoPack | None
) -> Iterator[tuple[int, list[PatchStack]]]:
    """Scenes in order, with the patches of each."""
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    from dff.simulator.patch_set import simulate_patches

    seeds = [scene_seed(arguments.seed, arguments.split, k) for k in range(arguments.scenes)]
    work = partial(simulate_patches, config, photos=photos)
    if arguments.workers == 1:
        yield from enumerate(map(work, seeds))
        return
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        yield from enumerate(pool.map(work, seeds))


def _write(
    path: Path, arguments: Arguments, config: PatchSetConfig, scenes: Iterator[tuple[int, list[PatchStack]]]
) -> None:
    import json
    from dataclasses import asdict

    import h5py
    import numpy as np

    from dff.data.af_patches import FORMAT, coded
    from dff.simulator.patch_set import reference_slice

    camera = config.model()
    focus = camera.ladder.focus()
    rows: dict[str, list[Any]] = {name: [] for name in (*_PER_PATCH, "scene")}
    types = {"left": np.uint8, "right": np.uint8, "depth": np.float16}
    with h5py.File(path, "w") as file:
        file.attrs.update(
            format=FORMAT,
            frame=[camera.picture_height, camera.picture_width],
            reference=reference_slice(camera),
            split=arguments.split,
            settings=json.dumps(
                {
                    "seed": arguments.seed,
                    "scenes": arguments.scenes,
                    "photos": arguments.photos is not None,
                    "patches": asdict(config),
                }
            ),
        )
        file["focus"] = focus
        for number, patches in scenes:
            for patch in patches:
                for name in _ARRAYS:
                    value = getattr(patch, name)
                    kept = coded(value) if name in ("left", "right") else value
                    _append(file, name, kept.astype(types.get(name, np.float32)))
                for name in _PER_PATCH:
                    rows[name].append(getattr(patch, name))
                rows["scene"].append(number)
            if (number + 1) % 20 == 0:
                print(f"{number + 1}/{arguments.scenes} scenes, {len(rows['scene'])} patches", flush=True)
        if not rows["scene"]:
            raise ValueError("autofocus_patches: no patch has enough detail; simulate more scenes")
        kinds = {
            "index": np.int16,
            "ladder_index": np.int16,
            "corner": np.int16,
            "scene": np.int32,
            "hard": bool,
        }
        for name, values in rows.items():
            file[name] = np.array(values, kinds.get(name, np.float32))


def _append(file: Any, name: str, value: Any) -> None:
    """Add one patch's array at the end of an array of patches."""
    if name not in file:
        file.create_dataset(
            name, (0, *value.shape), value.dtype, maxshape=(None, *value.shape), chunks=(1, *value.shape)
        )
    there = file[name]
    there.resize(len(there) + 1, axis=0)
    there[-1] = value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = tyro.cli(
        Arguments, args=argv, prog="python -m dff.train.autofocus_patches", description=__doc__
    )
    try:
        print(make(arguments))
    except (ValueError, FileNotFoundError) as error:
        print(f"autofocus_patches: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
