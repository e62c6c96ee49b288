"""Surfaces of the laid table: wood, painted brick, glaze, cloth, paper, leaves, fruit; all procedural."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dff.simulator.blender.materials import Colour, Nodes

Stops = Sequence[tuple[float, Colour]]
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def display(red: int, green: int, blue: int) -> Colour:
    """Linear light of a colour as displays show it, 0 to 255."""
    linear = [(value / 255) ** 2.2 for value in (red, green, blue)]
    return linear[0], linear[1], linear[2]


def dimmed(colour: Colour, factor: float) -> Colour:
    """The same colour with ``factor`` of its light, at most white."""
    red, green, blue = (min(1.0, factor * channel) for channel in colour)
    return red, green, blue


class _Surface(Nodes):
    """A material under construction, with the textures that a table needs."""

    def place(
        self, *scale: float, shift: Sequence[float] = (0, 0, 0), turned: Sequence[float] = (0, 0, 0)
    ) -> Any:
        """Coordinates of the mesh in metres: turned [radian], then stretched and shifted."""
        coordinates = self.add("TexCoord").outputs["Object"]
        turn = self.add("Mapping", {"Vector": coordinates, "Rotation": turned}).outputs["Vector"]
        inputs = {"Vector": turn, "Scale": scale or (1, 1, 1), "Location": shift}
        return self.add("Mapping", inputs).outputs["Vector"]

    def axes(self, vector: Any) -> Any:
        return self.add("SeparateXYZ", {"Vector": vector}).outputs

    def noise(
        self, vector: Any, scale: float = 1.0, detail: float = 4.0, rough: float = 0.5, bent: float = 0.0
    ) -> Any:
        """Fractal noise round 0.5; ``scale`` in features per unit of ``vector``."""
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail, "Roughness": rough, "Distortion": bent}
        return self.add("TexNoise", inputs).outputs["Factor"]

    def math(self, operation: str, *values: Any) -> Any:
        node = self.add("Math", operation=operation)
        for value, socket in zip(values, node.inputs, strict=False):
            self.connect(value, socket)
        return node.outputs[0]

    def ramp(self, factor: Any, *stops: tuple[float, Colour]) -> Any:
        """Colours along a factor."""
        node = self.add("ValToRGB", {"Factor": factor})
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1)
        return node.outputs["Color"]

    def shade(self, colour: Any, factor: Any, darkest: float, lightest: float, share: float = 1.0) -> Any:
        """The colour times ``darkest`` where noise is low, times ``lightest`` where it is high."""
        grey = self.ramp(factor, (0.3, (darkest,) * 3), (0.7, (lightest,) * 3))
        return self.mix(share, colour, grey, "MULTIPLY")

    def mix(self, share: Any, below: Any, above: Any, blend: str = "MIX") -> Any:
        node = self.add("Mix", data_type="RGBA", blend_type=blend)
        # its inputs 0, 6 and 7 are those of the data type RGBA
        for value, socket in ((share, node.inputs[0]), (below, node.inputs[6]), (above, node.inputs[7])):
            self.connect((*value, 1) if isinstance(value, tuple) else value, socket)
        return node.outputs[2]

    def brick(
        self, vector: Any, width: float, height: float, mortar: float, one: Colour, other: Colour
    ) -> Any:
        """Outputs "Color", mixed at random per brick, and "Factor", 1 on the mortar."""
        inputs = {"Vector": vector, "Scale": 1.0, "Brick Width": width, "Row Height": height}
        inputs |= {"Mortar Size": mortar, "Mortar Smooth": 0.4, "Color1": (*one, 1), "Color2": (*other, 1)}
        return self.add("TexBrick", inputs).outputs

    def bump(self, height: Any, depth_m: float) -> None:
        normal = self.add("Bump", {"Height": height, "Distance": depth_m, "Strength": 1.0}).outputs["Normal"]
        self.connect(normal, self.surface.inputs["Normal"])

    def done(self, colour: Any, roughness: float, specular: float = 0.4, metallic: float = 0.0) -> Any:
        values = (*colour, 1) if isinstance(colour, tuple) else colour
        self.connect(values, self.surface.inputs["Base Color"])
        self.surface.inputs["Roughness"].default_value = roughness
        self.surface.inputs["Specular IOR Level"].default_value = specular
        self.surface.inputs["Metallic"].default_value = metallic
        return self.material


def painted(colour: Colour, roughness: float = 0.5, uneven: float = 0.2, grain_m: float = 0.004) -> Any:
    """Matt to satin paint, a little uneven."""
    made = _Surface("painted")
    spots = made.noise(made.place(), 1 / grain_m, 6, 0.7)
    return made.done(made.shade(colour, spots, 1 - uneven, 1 + uneven), roughness)


def metal(colour: Colour, roughness: float) -> Any:
    """Bare metal."""
    return _Surface("metal").done(colour, roughness, metallic=1.0)


def planks() -> Any:
    """Oiled boards along y."""
    made = _Surface("planks")
    board = made.brick(made.place(turned=(0, 0, math.pi / 2)), 1.1, 0.093, 0.0011, BLACK, WHITE)
    # every board is cut from another place of the tree
    apart = made.add("CombineXYZ", {"Z": made.math("MULTIPLY", board["Color"], 7.0)}).outputs[0]
    wood = made.add("VectorMath", operation="ADD")
    made.connect(made.place(1.0, 0.07, 1.0), wood.inputs[0])
    made.connect(apart, wood.inputs[1])
    rings = made.noise(wood.outputs[0], 34, 5, 0.6, 0.9)
    fibres = made.noise(wood.outputs[0], 420, 4, 0.7)
    pores = made.noise(wood.outputs[0], 1300, 2, 0.6)
    colour = made.ramp(
        rings,
        (0.28, display(78, 48, 27)),
        (0.45, display(126, 83, 48)),
        (0.55, display(152, 106, 65)),
        (0.72, display(178, 132, 86)),
    )
    colour = made.shade(made.shade(colour, fibres, 0.5, 1.25, 0.75), pores, 0.4, 1.4, 0.75)
    tint = made.ramp(board["Color"], (0.0, (0.72, 0.68, 0.66)), (1.0, (1.1, 1.08, 1.02)))
    colour = made.mix(board["Factor"], made.mix(1.0, colour, tint, "MULTIPLY"), display(40, 24, 14))
    made.bump(made.math("SUBTRACT", fibres, made.math("MULTIPLY", board["Factor"], 3.0)), 0.0004)
    return made.done(colour, 0.5, 0.35)


def painted_brick() -> Any:
    """Whitewashed brickwork in the plane y = 0."""
    made = _Surface("brick")
    wavy = made.noise(made.place(), 25, 2)
    upright = made.mix(0.004, made.place(turned=(-math.pi / 2, 0, 0)), wavy, "ADD")
    brick = made.brick(upright, 0.215, 0.072, 0.006, display(206, 199, 186), display(180, 170, 156))
    worn = made.ramp(made.noise(made.place(), 9, 8, 0.75), (0.58, BLACK), (0.66, WHITE))
    rough = made.noise(made.place(), 60, 6, 0.7)
    colour = made.mix(brick["Factor"], brick["Color"], display(150, 143, 132))
    colour = made.mix(made.math("MULTIPLY", worn, 0.5), colour, display(150, 98, 74))
    made.bump(made.math("SUBTRACT", rough, made.math("MULTIPLY", brick["Factor"], 2.0)), 0.004)
    return made.done(made.shade(colour, rough, 0.7, 1.15, 0.6), 0.8)


def stoneware(above: Colour, below: Colour, height_m: float, speckle: Colour) -> Any:
    """Speckled glaze of two colours that meet at a height."""
    made = _Surface("stoneware")
    cloud = made.noise(made.place(), 45, 4)
    edge = made.math("ADD", made.axes(made.place())["Z"], made.math("MULTIPLY", cloud, 0.006))
    colour = made.mix(made.math("GREATER_THAN", edge, height_m), below, above)
    dots = made.ramp(made.noise(made.place(), 700, 2), (0.66, BLACK), (0.7, WHITE))
    colour = made.mix(made.math("MULTIPLY", dots, 0.85), made.shade(colour, cloud, 0.8, 1.0), speckle)
    return made.done(colour, 0.32)


def skin(stops: Stops, patch_m: float, pore_m: float, depth_m: float, drawn: float = 1.0) -> Any:
    """Skin or clay of colours that run into each other, with pores; ``drawn`` < 1 makes upright streaks."""
    made = _Surface("skin")
    patches = made.noise(made.place(1, 1, drawn), 1 / patch_m, 7, 0.65)
    cells = made.add("TexVoronoi", {"Vector": made.place(), "Scale": 1 / pore_m}).outputs["Distance"]
    pores = made.ramp(cells, (0.0, dimmed(WHITE, 0.55)), (0.45, WHITE))
    made.bump(cells, depth_m)
    return made.done(made.mix(0.8, made.ramp(patches, *stops), pores, "MULTIPLY"), 0.42)


def cloth(colour: Colour, thread_m: float = 0.0012) -> Any:
    """Book cloth: a weave that is just seen."""
    made = _Surface("cloth")
    fine, along = 1 / thread_m, 30.0
    weave = made.math(
        "ADD",
        made.noise(made.place(along, fine, fine), 1, 3),
        made.noise(made.place(fine, fine, along), 1, 3),
    )
    shades = made.ramp(made.math("MULTIPLY", weave, 0.5), (0.36, dimmed(colour, 0.55)), (0.62, colour))
    return made.done(shades, 0.75)


def cut_pages() -> Any:
    """The edges of a book whose sheets lie in planes of equal z."""
    made = _Surface("pages")
    sheets = made.noise(made.place(6, 6, 900), 1, 3, 0.7)
    return made.done(made.ramp(sheets, (0.3, display(150, 134, 104)), (0.65, display(232, 220, 194))), 0.85)


def siemens_star(height_m: float, radius_m: float, spokes: int = 24) -> Any:
    """A star in a ring, printed on cream paper in the plane y = 0, its centre at a height."""
    made = _Surface("star")
    place = made.axes(made.place(shift=(0, 0, -height_m)))
    across, up = place["X"], place["Z"]
    turns = made.math("MULTIPLY", made.math("ARCTAN2", up, across), spokes / (2 * math.pi))
    dark = made.math("GREATER_THAN", made.math("FRACT", made.math("ADD", turns, spokes)), 0.5)
    square = made.math("ADD", made.math("POWER", across, 2), made.math("POWER", up, 2))
    radius = made.math("SQRT", square)
    disc = made.math("LESS_THAN", radius, 0.9 * radius_m)
    ring = made.math("COMPARE", radius, radius_m, 0.03 * radius_m)
    ink = made.math("MAXIMUM", made.math("MULTIPLY", dark, disc), ring)
    cream = made.shade(display(238, 230, 212), made.noise(made.place(), 300), 0.85, 1.0)
    return made.done(made.mix(ink, cream, display(38, 60, 78)), 0.7)


def leaf(dark: Colour, light: Colour) -> Any:
    """Leaves with veins along x."""
    made = _Surface("leaf")
    veins = made.noise(made.place(25, 350, 350), 1, 4, 0.6)
    return made.done(made.ramp(veins, (0.35, dark), (0.65, light)), 0.45)
