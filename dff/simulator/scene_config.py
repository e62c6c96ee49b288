"""The make-up of random scenes: what a recipe in simulator/scenes may say under [scene]."""

from __future__ import annotations

from dataclasses import dataclass

from dff.simulator.placement import Crowd
from dff.simulator.shapes import SHAPES
from dff.simulator.surfaces import BACKGROUNDS, Relief
from dff.simulator.textures import TEXTURES


@dataclass(frozen=True)
class SceneConfig:
    """What random scenes are made of. Pairs are (low, high), both possible; a name given twice in a list
    comes twice as often; a share is the probability of one thing to be so.

    Args:
        objects: number of objects in front of the background.
        shapes: names of `SHAPES` to draw from.
        textures: names of `TEXTURES` to draw from; "photo" counts only when photographs are given.
        backgrounds: names of `BACKGROUNDS` to draw from; "corner" is a floor before a wall.
        object_size: largest extent of an object over the shorter side of the picture.
        background_slant, object_slant: dioptre range over the frame (over the object) of the surface's
            slope, as a share of the scene's dioptre range.
        bumps: deviation of a surface from its plane, same share.
        relief_share: of surfaces with a relief of ripples, fine and coarse; shaded, they show it.
        relief: its height from valley to summit, same share; less where there is no room for it.
        curved_share: of objects that are bulged like balls or cylinders, some of them hollow.
        standing_share: of objects that stand or lie on the ground, where there is one.
        cluster_share: of objects close in depth to others or to the background.
        faded_share, fade: share of surfaces with low contrast, and their remaining contrast.
        flat_share: share of objects without any texture or shading.
        plain_share: share of surfaces without texture, shaded: depth shows in their outline and relief.
        shaded_share: share of the others that are shaded, too.
        dark_share: share of nearly black surfaces.
        glossy_share: share of the shaded surfaces with a highlight.
        lights_share: share of surfaces with points of light on them.
        shadow_share: share of scenes where things cast shadows on what lies behind them.
        exposure: linear light (1: white) that one pixel in twenty of the sharp picture exceeds; the whole
            scene is made brighter or darker to suit, as by a camera that meters.
    """

    objects: tuple[int, int] = (5, 12)
    shapes: tuple[str, ...] = (
        *("ellipse",) * 3,
        *("box",) * 4,
        *("polygon",) * 2,
        *("star",) * 3,
        *("blob",) * 2,
        *("leaves",) * 2,
        *("frame", "bars", "wire", "wires", "fence", "lattice", "branch", "branch", "text"),
    )
    textures: tuple[str, ...] = (
        *("noise", "noise", "noise", "stains", "grain", "weave", "bricks", "pebbles", "checks", "stripes"),
        *("dots", "glyphs", *("photo",) * 10),
    )
    backgrounds: tuple[str, ...] = (
        "wall",
        "slanted",
        "slanted",
        "curved",
        "ground",
        "ground",
        "corner",
        "corner",
    )
    object_size: tuple[float, float] = (0.15, 1.0)
    background_slant: tuple[float, float] = (0.0, 0.9)
    object_slant: tuple[float, float] = (0.0, 0.3)
    bumps: float = 0.02
    relief_share: float = 0.0
    relief: tuple[float, float] = (0.05, 0.5)
    curved_share: float = 0.4
    standing_share: float = 0.5
    cluster_share: float = 0.3
    faded_share: float = 0.2
    fade: tuple[float, float] = (0.05, 0.4)
    flat_share: float = 0.04
    plain_share: float = 0.25
    shaded_share: float = 0.6
    dark_share: float = 0.12
    glossy_share: float = 0.25
    lights_share: float = 0.08
    shadow_share: float = 0.7
    exposure: tuple[float, float] = (0.25, 1.2)

    def __post_init__(self) -> None:
        lists = (("shapes", tuple(SHAPES)), ("textures", TEXTURES), ("backgrounds", BACKGROUNDS))
        for name, known in lists:
            unknown = sorted(set(getattr(self, name)) - set(known))
            if unknown or not getattr(self, name):
                raise ValueError(
                    f"SceneConfig: {name} {', '.join(unknown) or 'is empty'}; choose from {', '.join(known)}"
                )
        for name in (
            "objects",
            "object_size",
            "background_slant",
            "object_slant",
            "relief",
            "fade",
            "exposure",
        ):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"SceneConfig: {name} ({low}, {high}) must be 0 <= low <= high")
        if min(self.object_size[0], self.relief[0], self.fade[0], self.exposure[0]) <= 0:
            raise ValueError("SceneConfig: object_size, relief, fade and exposure must be above 0")
        for name in (*(one for one in self.__dataclass_fields__ if one.endswith("_share")), "bumps"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"SceneConfig: {name} must lie in [0,1], got {getattr(self, name)}")

    def crowd(self) -> Crowd:
        """What concerns the objects' places."""
        return Crowd(**{name: getattr(self, name) for name in Crowd.__dataclass_fields__})

    def ripples(self) -> Relief:
        """What concerns the relief of surfaces."""
        return Relief(**{name: getattr(self, name) for name in Relief.__dataclass_fields__})
