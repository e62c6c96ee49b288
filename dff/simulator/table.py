"""The scene of the demo stack: a laid table before a papered wall, drawn layer by layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dff.simulator.capture import SimulationConfig
from dff.simulator.layers import Layer, carve
from dff.simulator.textures import Draw, pixel_grid, power_noise, to_linear

WALL_ROW = -0.2  # where table and wall meet, in picture heights from the middle

Colour = tuple[float, float, float]


class _Table:
    """Coordinates of the picture and of the table in it, and the layers put on it so far."""

    def __init__(self, config: SimulationConfig, margin: int, draw: Draw) -> None:
        if config.lens is None:
            raise ValueError("table_scene: the table has real sizes; give the config a lens")
        self.draw = draw
        self.height, self.width = config.size[0] + 2 * margin, config.size[1] + 2 * margin
        self.v, self.u = pixel_grid(self.height, self.width, draw.device)  # (H,1) down, (1,W) right
        self.focal_px = config.lens.focal_length_m / config.lens.pixel_pitch_m
        self.far, self.near = config.far_dioptre, config.near_dioptre
        self.wall_row = WALL_ROW * config.size[0]
        self.dioptre_per_row = (self.near - self.far) / (config.size[0] / 2 - self.wall_row)
        self.layers: list[Layer] = []
        self.shadow = torch.ones(self.height, self.width, device=draw.device)

    def dioptre_of_row(self, row: Any) -> Any:
        return self.far + (row - self.wall_row) * self.dioptre_per_row

    def row_of_dioptre(self, dioptre: Any) -> Any:
        return self.wall_row + (dioptre - self.far) / self.dioptre_per_row

    def px(self, metres: float, dioptre: float) -> float:
        """Length in the picture of something ``metres`` long."""
        return metres * self.focal_px * dioptre

    def grain(self, slope: float = 0.9, cycles: float = 4) -> Tensor:
        return power_noise(self.draw, 1, self.height, self.width, slope, lowest_cycles=cycles)[0]

    def colour(self, colour: Colour) -> Tensor:
        """(3,H,W) of one display colour."""
        return torch.tensor(colour, device=self.draw.device)[:, None, None].expand(3, self.height, self.width)

    def add(self, display: Tensor, inside_px: Tensor, dioptre: Tensor | float) -> None:
        """A layer of display colours (3,H,W) where ``inside_px``, signed distance to the edge, is > 0."""
        alpha = (0.5 + inside_px / 1.2).clamp(0, 1).expand(self.height, self.width).contiguous()
        surface = torch.as_tensor(dioptre, dtype=torch.float32, device=self.draw.device)
        self.layers.append(Layer(to_linear(display), alpha, surface.expand(self.height, self.width)))

    def stand(
        self, dioptre: float, x_m: float, width_m: float, oblique: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates (right, up) [px] from the foot of something that stands on the table, and its dioptres.

        ``oblique`` turns it about the vertical: relative growth of the dioptre per ``width_m`` to the right.
        It also gets a shadow.
        """
        right = self.u - self.px(x_m, dioptre)
        width = self.px(width_m, dioptre)
        surface = dioptre * (1 + (oblique * right / width).clamp(-0.3, 0.3))
        up = (self.row_of_dioptre(surface) - self.v) * dioptre / surface
        away = (self.row_of_dioptre(dioptre) - self.v) / (0.2 * width)
        blob = torch.exp(-(((right / width - 0.15) / 0.55) ** 2 + (away - 0.2) ** 2))
        self.shadow = self.shadow * (1 - 0.6 * blob)
        return right, up, surface

    def lettering(
        self, lines: list[str], across: Tensor, down: Tensor, size_px: float, left: float, top: float
    ) -> Tensor:
        """(H,W) coverage of lines printed from (left, top) on, in surface coordinates (across, down) [px]."""
        size = max(4.0, size_px)
        font = ImageFont.load_default(size)
        sheet = Image.new(
            "L", (math.ceil(max(map(font.getlength, lines))) + 4, math.ceil(1.3 * size * len(lines)))
        )
        pen = ImageDraw.Draw(sheet)
        for i, line in enumerate(lines):
            pen.text((2, 1.25 * i * size), line, fill=255, font=font)
        ink = torch.from_numpy(np.asarray(sheet, dtype=np.float32) / 255).to(self.draw.device)
        scale = size / size_px
        x = (across - left) * scale + 2
        y = (down - top) * scale
        where = torch.stack(
            torch.broadcast_tensors(2 * x / (sheet.width - 1) - 1, 2 * y / (sheet.height - 1) - 1), -1
        )
        return F.grid_sample(ink[None, None], where[None], align_corners=True)[0, 0]


def _mix(below: Tensor, above: Tensor, share: Tensor) -> Tensor:
    return below + (above - below) * share


# --- the things --------------------------------------------------------------------------------------------


def _wall(table: _Table) -> None:
    """Papered wall, a little oblique, with a poster on it."""
    period = table.px(0.09, table.far)
    u, v = torch.remainder(table.u, period) - period / 2, torch.remainder(table.v, period) - period / 2
    diamond = (0.5 + (period * 0.22 - (u.abs() + v.abs())) / 1.5).clamp(0, 1)
    paper = _mix(table.colour((0.80, 0.76, 0.66)), table.colour((0.50, 0.58, 0.55)), diamond)
    paper = paper * (1 + 0.07 * table.grain(0.7, 8))
    left, top = table.px(-1.03, table.far), table.px(-0.77, table.far)
    poster_w, poster_h = table.px(0.58, table.far), table.px(0.33, table.far)
    in_u = torch.minimum(table.u - left, left + poster_w - table.u)
    in_v = torch.minimum(table.v - top, top + poster_h - table.v)
    sheet = (0.5 + torch.minimum(in_u, in_v)).clamp(0, 1)
    paper = _mix(paper, table.colour((0.20, 0.27, 0.38)) * (1 + 0.05 * table.grain()), sheet)
    words = table.lettering(
        ["DEPTH FROM", "FOCUS"],
        table.u - left,
        table.v - top,
        0.24 * poster_h,
        0.08 * poster_w,
        0.15 * poster_h,
    )
    paper = _mix(paper, table.colour((0.95, 0.88, 0.62)), words)
    oblique = table.far + 0.12 * (table.u / table.width + 0.5)
    table.add(paper, torch.full_like(table.shadow, math.inf), oblique)


def _cloth(table: _Table) -> tuple[Tensor, Tensor]:
    """Display colours (3,H,W) and dioptres of a gingham cloth in perspective, averaged over sub-pixels."""
    rows, columns = 4, 2  # samples per pixel: perspective squeezes rows most
    v, u = pixel_grid(table.height * rows, table.width * columns, table.draw.device)
    depth_m = 1 / table.dioptre_of_row(v / rows).clamp_min(0.8 * table.far)
    x_m = u / columns * depth_m / table.focal_px
    threads_x, threads_z = ((torch.remainder(axis, 0.08) < 0.04).float() for axis in (x_m, depth_m))
    share = (threads_x + threads_z) / 2
    threads = power_noise(table.draw, 1, 1024, 1024, 0.6, lowest_cycles=40)
    folded = [1 - (torch.remainder(axis / 0.2, 4) - 2).abs() for axis in (x_m, depth_m)]  # mirrored tiles
    where = torch.stack(torch.broadcast_tensors(*folded), dim=-1)
    grain = F.grid_sample(threads[None], where[None], align_corners=True)[0, 0]
    share, grain = F.avg_pool2d(torch.stack([share, grain])[None], (rows, columns))[0]
    cloth = _mix(table.colour((0.88, 0.86, 0.82)), table.colour((0.62, 0.16, 0.17)), share)
    return cloth * (1 + 0.13 * grain), table.dioptre_of_row(table.v).expand(table.height, table.width)


def _book(table: _Table, dioptre: float, x_m: float) -> None:
    """An upright book, seen a little from the side."""
    right, up, surface = table.stand(dioptre, x_m, 0.20, oblique=0.16)
    half, tall = table.px(0.10, dioptre), table.px(0.25, dioptre)
    inside = torch.minimum(half - right.abs(), torch.minimum(up, tall - up))
    cover = table.colour((0.18, 0.36, 0.30)) * (1 + 0.12 * table.grain(0.8, 10))
    band = (0.5 + table.px(0.022, dioptre) - (up - 0.30 * tall).abs()).clamp(0, 1)
    cover = _mix(cover, table.colour((0.86, 0.70, 0.35)), band)
    title = table.lettering(
        ["Optics", "of small", "cameras"], right, -up, 0.16 * tall, -0.85 * half, -0.93 * tall
    )
    table.add(_mix(cover, table.colour((0.93, 0.92, 0.85)), title), inside, surface)


def _tin(table: _Table, dioptre: float, x_m: float) -> None:
    """A cylinder with a printed label."""
    right, up, _ = table.stand(dioptre, x_m, 0.09)
    radius_m, tall = 0.045, table.px(0.12, dioptre)
    radius = table.px(radius_m, dioptre)
    across = (right / radius).clamp(-1, 1)
    bulge = torch.sqrt(1 - across**2)  # 1 towards the camera
    foot = table.row_of_dioptre(1 / (1 / dioptre - radius_m)) - table.row_of_dioptre(dioptre)
    lid = 0.4 * foot  # half axis of the upper ellipse: seen from less far above
    inside = torch.minimum(radius - right.abs(), torch.minimum(up + foot * bulge, tall + lid * bulge - up))
    turn = torch.asin(across) * radius
    stripes = (0.5 + 2 * torch.sin(2 * math.pi * (turn + up) / (0.22 * radius))).clamp(0, 1)
    label = _mix(table.colour((0.93, 0.85, 0.60)), table.colour((0.16, 0.30, 0.55)), stripes * 0.8)
    plate = (0.5 + 0.17 * tall - (up - 0.52 * tall).abs()).clamp(0, 1)
    label = _mix(label, table.colour((0.96, 0.94, 0.90)), plate)
    words = table.lettering(["TEA", "loose leaf"], turn, -up, 0.13 * tall, -0.75 * radius, -0.68 * tall)
    label = _mix(label, table.colour((0.55, 0.10, 0.10)), words) * (1 + 0.06 * table.grain(0.8, 10))
    shade = 0.35 + 0.65 * (0.8 * bulge - 0.6 * across).clamp(0, 1)
    on_lid = (0.5 + up - tall + lid * bulge).clamp(0, 1)
    tin = _mix(label * shade, table.colour((0.72, 0.73, 0.75)) * (1 + 0.08 * table.grain(0.8, 10)), on_lid)
    towards = torch.where(on_lid > 0.5, ((tall - up) / lid).clamp(-1, 1), bulge)
    table.add(tin, inside, 1 / (1 / dioptre - radius_m * towards))


def _ball(table: _Table, dioptre: float, x_m: float) -> None:
    right, up, _ = table.stand(dioptre, x_m, 0.064)
    radius_m = 0.032
    radius = table.px(radius_m, dioptre)
    height = up - radius
    distance = torch.hypot(right, height)
    facing = torch.sqrt((1 - (distance / radius) ** 2).clamp_min(0))
    x, y = (right / radius).clamp(-1, 1), (height / radius).clamp(-1, 1)
    seam = torch.sin(9 * (0.8 * x + 0.6 * y)) * torch.sin(9 * (0.8 * y - 0.6 * x) + 3 * facing)
    skin = _mix(
        table.colour((0.90, 0.55, 0.15)), table.colour((0.30, 0.12, 0.30)), (0.5 + 3 * seam).clamp(0, 1)
    )
    skin = skin * (1 + 0.10 * table.grain(0.7, 12))
    light = -0.5 * x + 0.6 * y + 0.62 * facing
    table.add(
        skin * (0.3 + 0.75 * light.clamp(0, 1)), radius - distance, 1 / (1 / dioptre - radius_m * facing)
    )


def _card(table: _Table, dioptre: float, x_m: float) -> None:
    """A folded place card, turned about the vertical."""
    right, up, surface = table.stand(dioptre, x_m, 0.08, oblique=-0.15)
    half, tall = table.px(0.04, dioptre), table.px(0.045, dioptre)
    inside = torch.minimum(half - right.abs(), torch.minimum(up, tall - up))
    frame = (1.5 - (inside - 0.09 * tall).abs()).clamp(0, 1)
    paper = table.colour((0.95, 0.94, 0.89)) * (1 + 0.05 * table.grain(0.7, 12))
    paper = _mix(paper, table.colour((0.65, 0.50, 0.20)), frame)
    lines = ["nearest wins:", "read me in", "the last slices"]
    words = table.lettering(lines, right, -up, 0.19 * tall, -0.76 * half, -0.86 * tall)
    table.add(_mix(paper, table.colour((0.12, 0.12, 0.22)), words), inside, surface)


def _twigs(table: _Table, dioptre: float, x_m: float) -> None:
    """Thin bent stems with leaves, each at its own depth."""
    draw = table.draw
    for i in range(6):
        at = dioptre * (1 + 0.05 * (i - 2.5))
        right, up, _ = table.stand(at, x_m + 0.008 * (i - 2.5), 0.01)
        tall = table.px(draw.uniform(0.13, 0.19), at)
        lean, bend = draw.uniform(-0.35, 0.35), draw.uniform(-0.25, 0.25)
        along = up / tall
        middle = tall * (lean * along + bend * along**2)
        slope = lean + 2 * bend * along
        thick = table.px(0.0022, at) * (1.2 - 0.7 * along.clamp(0, 1))
        stem = torch.minimum(
            thick / 2 - (right - middle).abs() / torch.sqrt(1 + slope**2), torch.minimum(up, tall - up)
        )
        inside = stem
        for j in range(4):
            t = 0.4 + 0.18 * j
            length, side = table.px(0.020, at) * (1.2 - 0.5 * t), (-1) ** (i + j)
            du = (right - tall * (lean * t + bend * t**2)) * side
            dv = up - tall * t
            p, q = 0.85 * du + 0.53 * dv, 0.85 * dv - 0.53 * du
            leaf = 0.22 * length * (1 - ((p - length) / length) ** 2) - q.abs()
            inside = torch.maximum(inside, leaf)
        green = table.colour((0.20 + 0.03 * i, 0.42 + 0.04 * (i % 3), 0.16)) * (
            1 + 0.18 * table.grain(0.7, 12)
        )
        table.add(green, inside, at)


def _pencil(table: _Table, dioptre: float, x_m: float) -> None:
    """A pencil lying on the table, pointing away: every part of it at another depth."""
    start, end = table.row_of_dioptre(dioptre), table.row_of_dioptre(0.62 * dioptre)
    lean = 0.9
    along = ((start - table.v) / (start - end)).expand(table.height, table.width)
    here = table.dioptre_of_row(table.v).expand(table.height, table.width).clamp(table.far, 1.2 * table.near)
    middle = table.px(x_m, dioptre) + lean * (start - table.v)
    across = (table.u - middle) / math.sqrt(1 + lean**2)
    tip = ((1 - along) / 0.12).clamp(0, 1)
    thick = table.px(0.008, 1.0) * here * tip
    inside = torch.minimum(thick / 2 - across.abs(), (start - end) * torch.minimum(along, 1 - along))
    facet = torch.floor(3 * (across / thick.clamp_min(1) + 0.5)).clamp(0, 2)
    paint = table.colour((0.85, 0.62, 0.10)) * (0.7 + 0.2 * facet)
    paint = _mix(paint, table.colour((0.85, 0.68, 0.50)), (along > 0.88).float())
    paint = _mix(paint, table.colour((0.15, 0.15, 0.17)), (along > 0.96).float())
    table.add(paint * (1 + 0.10 * table.grain(0.7, 12)), inside, here + 0.03)


def table_scene(config: SimulationConfig, margin: int, generator: torch.Generator) -> list[Layer]:
    """Layers, back to front, of a table seen by ``config.lens``, from far_dioptre (wall) to near_dioptre.

    Args:
        config: size (height, width), sweep limits and lens; all lengths in the scene are real ones.
        margin: pixels drawn beyond each border.
        generator: seeded; it varies the grain of every surface and the growth of the twigs.

    Returns:
        Layers of (H+2*margin, W+2*margin) px that do not cross in depth.
    """
    table = _Table(config, margin, Draw(generator))
    _wall(table)
    cloth, surface = _cloth(table)
    _book(table, 0.85, -0.10)
    _tin(table, 1.45, 0.06)
    _ball(table, 1.95, -0.10)
    _twigs(table, 2.5, 0.135)
    _pencil(table, 3.7, 0.015)
    _card(table, 3.0, -0.085)
    cloth = cloth * table.shadow
    table.add(cloth, torch.full_like(table.shadow, math.inf), surface)
    wall, *things, cloth_layer = table.layers
    return carve([wall, cloth_layer, *things])
