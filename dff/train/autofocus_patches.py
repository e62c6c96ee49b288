"""Make patches for autofocus: `python -m dff.train.autofocus_patches OUT.h5 --split train --scenes 600`.

A camera's whole sweep of small regions, by the simulator; the file is described in `dff.data.af_patches`.
Scenes gather in OUT.part.h5; stopped and called again, it goes on from there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

if TYPE_CHECKING:
    from dff.simulator.patch_set import PatchSetConfig, PatchStack
    from dff.simulator.photos import PhotoPack

_TYPES = {
    "left": "u1", "right": "u1", "depth": "f2", "true_focus": "f4", "matrices": "f4", "index": "i2",
    "ladder_index": "i2", "dioptre": "f4", "spread": "f4", "corner": "i2", "light": "f4", "snr": "f4",
    "hard": "?", "scene": "i4",
}  # fmt: skip
"""What the file holds of every patch, and how (`dff.data.af_patches`)."""


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
    from dff.formats.safe_write import check_output
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
    part = out.with_name(f"{out.stem}.part{SUFFIX}")
    _write(part, arguments, config, photos)
    os.replace(part, out)
    return out


def _rows(config: PatchSetConfig, seed: int, photos: PhotoPack | None) -> list[dict[str, Any]]:
    """What the file holds of the patches of one scene, but its number."""
    import numpy as np

    from dff.data.af_patches import coded
    from dff.simulator.patch_set import simulate_patches

    def row(patch: PatchStack) -> dict[str, Any]:
        values = {name: getattr(patch, name) for name in _TYPES if name != "scene"}
        values |= {name: coded(values[name]) for name in ("left", "right")}
        return {name: np.asarray(value).astype(_TYPES[name]) for name, value in values.items()}

    return [row(patch) for patch in simulate_patches(config, seed, photos)]


def _simulated(
    arguments: Arguments, config: PatchSetConfig, photos: PhotoPack | None, first: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Scenes from ``first`` on, in order, with the patches of each."""
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    from dff.simulator.workers import end_with_parent

    seeds = [scene_seed(arguments.seed, arguments.split, k) for k in range(first, arguments.scenes)]
    work = partial(_rows, config, photos=photos)
    if arguments.workers == 1:
        yield from enumerate(map(work, seeds), start=first)
        return
    with ProcessPoolExecutor(arguments.workers, get_context("spawn"), end_with_parent) as pool:
        yield from enumerate(pool.map(work, seeds), start=first)


def _write(path: Path, arguments: Arguments, config: PatchSetConfig, photos: PhotoPack | None) -> None:
    """Fill the file; one that was left half-done by the same settings is gone on with."""
    import h5py
    import numpy as np

    with _begun(path, arguments, config, photos) as file:
        assert isinstance(file, h5py.File)
        done = int(file.attrs["done"])
        if done > arguments.scenes:
            raise ValueError(f"{path}: has {done} scenes already; ask for as many, or remove it")
        for number, patches in _simulated(arguments, config, photos, done):
            for patch in patches:
                for name, value in (patch | {"scene": np.asarray(number, _TYPES["scene"])}).items():
                    _append(file, name, value)
            file.attrs["done"], file.attrs["patches"] = number + 1, _count(file)
            file.flush()
            if (number + 1) % 20 == 0:
                print(f"{number + 1}/{arguments.scenes} scenes, {_count(file)} patches", flush=True)
        if not _count(file):
            raise ValueError("autofocus_patches: no patch has enough detail; simulate more scenes")


def _begun(path: Path, arguments: Arguments, config: PatchSetConfig, photos: PhotoPack | None) -> Any:
    """The open file, new or with as many scenes as were finished."""
    import h5py

    from dff.data.af_patches import FORMAT
    from dff.simulator.patch_set import reference_slice

    camera = config.model()
    painted = None if photos is None else sorted(set(photos.credits))
    about = {
        "format": FORMAT,
        "frame": [camera.picture_height, camera.picture_width],
        "reference": reference_slice(camera),
        "split": arguments.split,
        "settings": json.dumps(
            {"seed": arguments.seed, "photographs": painted, "patches": asdict(config)}, sort_keys=True
        ),
    }
    if path.is_file():
        try:
            file = h5py.File(path, "r+")
        except OSError:
            raise ValueError(f"{path}: left half-done and damaged; remove it") from None
        if file.attrs.get("settings") == about["settings"] and file.attrs.get("split") == arguments.split:
            for name in _TYPES:
                if name in file:  # a scene that was cut short is made again
                    file[name].resize(int(file.attrs["patches"]), axis=0)
            return file
        file.close()
        raise ValueError(f"{path}: left half-done by other settings; remove it, or give those again")
    file = h5py.File(path, "w")
    file.attrs.update(**about, done=0, patches=0)
    file["focus"] = camera.ladder.focus()
    return file


def _count(file: Any) -> int:
    return len(file["scene"]) if "scene" in file else 0


def _append(file: Any, name: str, value: Any) -> None:
    """Add one patch's value, an array, at the end of the values of all."""
    if name not in file:
        chunks = (1, *value.shape) if value.ndim else (256,)
        most = (None, *value.shape)
        file.create_dataset(name, (0, *value.shape), value.dtype, maxshape=most, chunks=chunks)
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
