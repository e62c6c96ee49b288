"""Render scenes to train on: `python -m dff.train.render_scenes OUT --textures DIR --photos FILE`; needs bpy.

Each scene goes to a folder beside OUT as soon as it is done; called again, only missing ones are rendered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

KINDS = ("plain", "prims", "slant", "plain", "thin", "close", "meshes", "mixed")
FIRST_SEED = 5000  # smaller ones are for benchmarks
BOUNCES = 2


@dataclass(frozen=True)
class Arguments:
    """Render random scenes, all in focus and with depth, and pack them as layers for dff.train --scenes.

    Args:
        out: the file (.safetensors).
        count: number of scenes.
        kinds: of scenes, taken in turn; plain ones come twice as often.
        seed: of the first scene; the next ones count on.
        size: side of the picture [px]; training takes windows of it with room for motion.
        textures: folder of pictures for surfaces, which every other round of kinds uses.
        photos: the photographs of the training run, file or folder: only those of its training part are used.
        samples: light paths per pixel, then denoised.
        layers: most layers of a scene.
        threads: CPU threads, 0 for all.
        overwrite: replace the file.
    """

    out: tyro.conf.Positional[Path]
    count: int = 64
    kinds: tuple[str, ...] = KINDS
    seed: int = FIRST_SEED
    size: int = 176
    textures: Path | None = None
    photos: Path | None = None
    samples: int = 24
    layers: int = 6
    threads: int = 1
    overwrite: bool = False


def _linked(arguments: Arguments, folder: Path) -> Path | None:
    """A folder of links to the pictures that training may see."""
    from dff.simulator.blender.materials import image_files
    from dff.simulator.photos import load_photos
    from dff.train.source import split

    if arguments.textures is None:
        return None
    if arguments.photos is None:
        raise ValueError(
            "--textures: needs --photos, which tells the training pictures from the held-out ones"
        )
    training, _ = split(load_photos(arguments.photos))
    names = set(training.credits if training is not None else ())
    files = image_files(arguments.textures)
    chosen = [path for path in files if path.relative_to(arguments.textures).as_posix() in names]
    if not chosen:
        raise ValueError(
            f"{arguments.textures}: none of its pictures is in {arguments.photos}; give that folder"
        )
    for k, path in enumerate(chosen):
        (folder / f"{k:04d}_{path.name}").symlink_to(path.resolve())
    return folder


def render_all(arguments: Arguments) -> Path:
    """Render what is missing, and pack it.

    Raises:
        ValueError: bpy is missing, no such kind, a seed of the benchmarks, or the file cannot be written.
        FileNotFoundError: no such folder.
    """
    import torch

    from dff.formats.safe_write import check_output
    from dff.simulator.blender.passes import all_in_focus
    from dff.simulator.blender.random_scene import BlenderConfig, random_scene
    from dff.simulator.blender.session import RenderSettings
    from dff.simulator.rgbd import rgbd_layers
    from dff.simulator.scene_pack import PACKED, ScenePack, load_scenes

    out = check_output(arguments.out, (PACKED,), arguments.overwrite)
    if arguments.seed < FIRST_SEED:
        raise ValueError(
            f"--seed {arguments.seed}: scenes of seeds below {FIRST_SEED} are for benchmarks; give a larger"
        )
    if min(arguments.count, len(arguments.kinds)) < 1:
        raise ValueError("render_scenes: give --count 1 or more, and at least one of --kinds")
    configs = [BlenderConfig(kind, (arguments.size,) * 2, margin_px=0) for kind in arguments.kinds]
    work = out.with_name(f"{out.stem}_parts")
    work.mkdir(exist_ok=True)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    done: list[ScenePack] = []
    with TemporaryDirectory() as links:
        textures = _linked(arguments, Path(links))
        for k in range(arguments.count):
            turn, at = divmod(k, len(configs))
            config, seed = configs[at], arguments.seed + k
            name = f"{config.kind}_{seed}"
            path = work / f"{name}{PACKED}"
            if not path.is_file():
                textured = replace(config, textures=textures if turn % 2 == 0 else None)
                settings = RenderSettings(arguments.samples, True, seed, BOUNCES, arguments.threads)
                colour, dioptre = all_in_focus(random_scene(textured, seed), settings)
                layers = rgbd_layers(colour, dioptre, n_layers=arguments.layers)
                ScenePack.of(name, layers).save(path)
                print(f"{k + 1}/{arguments.count} {name}: {len(layers)} layers", flush=True)
            done.append(load_scenes(path))
    return ScenePack.joined(done).save(out, overwrite=arguments.overwrite)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = tyro.cli(Arguments, args=argv, prog="python -m dff.train.render_scenes", description=__doc__)
    try:
        print(render_all(arguments))
    except (ValueError, FileNotFoundError) as error:
        print(f"render_scenes: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
