"""Surfaces for Cycles: paint, procedural patterns and photographs, with restrained natural colours."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dff.simulator.blender.session import require_bpy

PATTERNS = ("noise", "noise", "marble", "voronoi", "brick", "checker", "wave", "spots")  # mostly noise
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
MIN_CONTRAST = 2.0  # ratio between the light and dark colour of a pattern

# hue, its spread, largest saturation: wood, leaf, stone, sky blue, brick red, cream, anything
_FAMILIES = (
    (0.08, 0.02, 0.6),
    (0.27, 0.05, 0.6),
    (0.1, 0.1, 0.12),
    (0.58, 0.04, 0.45),
    (0.02, 0.02, 0.65),
    (0.13, 0.03, 0.35),
    (0.5, 0.5, 0.35),
)

Colour = tuple[float, float, float]


def image_files(folder: str | Path) -> list[Path]:
    """All pictures below a folder, sorted.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of textures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: holds no picture ({', '.join(IMAGE_SUFFIXES)})")
    return files


def random_colour(rng: np.random.Generator, family: int | None = None) -> Colour:
    """Albedo in linear light, brightness .08 to .75, from one of a few families of hues."""
    hue, spread, saturation = _FAMILIES[rng.integers(len(_FAMILIES)) if family is None else family]
    hue = (hue + rng.uniform(-spread, spread)) % 1
    value = math.exp(rng.uniform(math.log(0.08), math.log(0.75)))
    # saturation is meant for display values: stronger in linear light
    display = colorsys.hsv_to_rgb(hue, saturation * rng.uniform(0.2, 1), value ** (1 / 2.2))
    red, green, blue = (channel**2.2 for channel in display)
    return red, green, blue


def _luma(colour: Colour) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def _two_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    family = int(rng.integers(len(_FAMILIES)))
    one = random_colour(rng, family)
    while True:
        other = random_colour(rng, family if rng.random() < 0.6 else None)
        ratio = _luma(other) / _luma(one)
        if max(ratio, 1 / ratio) > MIN_CONTRAST:
            return one, other


class Nodes:
    """A material's node tree: `add` makes a node and links or sets its inputs by name."""

    def __init__(self, name: str) -> None:
        self.material = require_bpy().data.materials.new(name)
        self.tree = self.material.node_tree
        self.surface = next(n for n in self.tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")

    def add(self, kind: str, inputs: dict[str, Any] | None = None, **properties: Any) -> Any:
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in properties.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.connect(value, node.inputs[name])
        return node

    def connect(self, value: Any, socket: Any) -> None:
        if hasattr(value, "is_linked"):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def mapped(self, rng: np.random.Generator, period_m: float, turned: bool = True) -> Any:
        """Texture coordinates in periods of the pattern, at random place and turn."""
        angles = rng.uniform(0, 2 * math.pi, 3) if turned else np.zeros(3)
        coordinates = self.add("TexCoord").outputs["Object"]
        return self.add(
            "Mapping",
            {
                "Vector": coordinates,
                "Location": tuple(rng.uniform(-50, 50, 3)),
                "Rotation": tuple(angles),
                "Scale": (1 / period_m,) * 3,
            },
        ).outputs["Vector"]

    def finish(self, rng: np.random.Generator, colour: Any) -> Any:
        self.connect(colour, self.surface.inputs["Base Color"])
        self.surface.inputs["Roughness"].default_value = rng.uniform(0.35, 0.9)
        return self.material


def paint(rng: np.random.Generator, colour: Colour | None = None) -> Any:
    """One colour, from matt to slightly glossy: only shading tells the shape."""
    return Nodes("paint").finish(rng, (*(colour or random_colour(rng)), 1))


def _factor(nodes: Nodes, rng: np.random.Generator, kind: str, vector: Any) -> Any:
    """Output in [0,1] of a grey pattern whose features repeat about once per unit of ``vector``."""
    if kind == "noise":
        inputs = {"Vector": vector, "Scale": 1.0, "Detail": 8.0, "Roughness": rng.uniform(0.5, 0.75)}
        return nodes.add("TexNoise", inputs).outputs["Factor"]
    if kind == "marble":
        inputs = {"Vector": vector, "Scale": 0.6, "Distortion": rng.uniform(3, 9), "Detail": 5.0}
        return nodes.add("TexWave", inputs).outputs["Factor"]
    if kind == "voronoi":
        cells = nodes.add("TexVoronoi", {"Vector": vector, "Scale": 1.0})
        return nodes.add("SeparateColor", {"Color": cells.outputs["Color"]}).outputs[0]
    if kind == "wave":
        wave = nodes.add("TexWave", {"Vector": vector, "Scale": 0.31, "Distortion": rng.uniform(0, 1.5)})
        return wave.outputs["Factor"]
    cells = nodes.add("TexVoronoi", {"Vector": vector, "Scale": 1.0, "Randomness": rng.uniform(0, 1)})
    return cells.outputs["Distance"]


def pattern(rng: np.random.Generator, period_m: float, kind: str | None = None) -> Any:
    """Two colours and all between in a pattern (`PATTERNS`) of a period in metres, with a fine grain."""
    kind = kind or PATTERNS[rng.integers(len(PATTERNS))]
    nodes = Nodes(kind)
    one, other = ((*colour, 1.0) for colour in _two_colours(rng))
    vector = nodes.mapped(rng, period_m, turned=kind not in ("brick", "checker"))
    if kind == "brick":
        mortar = (*random_colour(rng, 2), 1.0)
        inputs = {"Vector": vector, "Scale": 1.0, "Color1": one, "Color2": other, "Mortar": mortar}
        colour = nodes.add("TexBrick", inputs).outputs["Color"]
    elif kind == "checker":
        inputs = {"Vector": vector, "Scale": 1.0, "Color1": one, "Color2": other}
        colour = nodes.add("TexChecker", inputs).outputs["Color"]
    else:
        ramp = nodes.add("ValToRGB", {"Factor": _factor(nodes, rng, kind, vector)})
        # noise stays near one half, and spots near a fixed distance: stretch them to both colours
        low, high = {"noise": (0.35, 0.65), "spots": (0.3, 0.4)}.get(kind, (0.15, 0.85))
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = low, high
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = one, other
        colour = ramp.outputs["Color"]
    grain = nodes.add("TexNoise", {"Vector": vector, "Scale": 5.0, "Detail": 4.0})
    strength = rng.uniform(0.2, 0.7)
    darker = nodes.add(
        "MapRange",
        {
            "Value": grain.outputs["Factor"],
            "From Min": 0.3,
            "From Max": 0.7,
            "To Min": 1 - strength,
            "To Max": 1.0,
        },
    )
    mixed = nodes.add("Mix", data_type="RGBA", blend_type="MULTIPLY")
    a, b, factor = mixed.inputs[6], mixed.inputs[7], mixed.inputs[0]
    factor.default_value = 1.0
    nodes.connect(colour, a)
    nodes.connect(darker.outputs[0], b)
    return nodes.finish(rng, mixed.outputs[2])


def photograph(rng: np.random.Generator, files: Sequence[Path], extent_m: float) -> Any:
    """A random picture laid on from six sides, one copy per ``extent_m``."""
    nodes = Nodes("photograph")
    image = require_bpy().data.images.load(str(files[int(rng.integers(len(files)))]), check_existing=True)
    vector = nodes.mapped(rng, extent_m, turned=False)
    texture = nodes.add(
        "TexImage",
        {"Vector": vector},
        image=image,
        projection="BOX",
        projection_blend=0.05,
        extension="MIRROR",
    )
    return nodes.finish(rng, texture.outputs["Color"])


def random_material(
    rng: np.random.Generator, pixel_m: float, files: Sequence[Path] = (), plain_share: float = 0.15
) -> Any:
    """Paint, pattern or photograph, its detail 5 to 40 pixels wide where a pixel is ``pixel_m``."""
    if rng.random() < plain_share:
        return paint(rng)
    if files and rng.random() < 0.6:
        return photograph(rng, files, pixel_m * math.exp(rng.uniform(math.log(100), math.log(400))))
    return pattern(rng, pixel_m * math.exp(rng.uniform(math.log(5), math.log(40))))
