"""What the package's own benchmark measures: axes of difficulty, each a few levels of simulated stacks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dff.eval.baselines.rivals import combinations
from dff.eval.inputs import Seeds
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig
from dff.simulator.sensor import Sensor
from dff.simulator.shapes import SHAPES
from dff.train.source import HELD_OUT_SEEDS

NAME = "wild"
_SHAPES_LISTED = 20  # shares of thin things are steps of one in this many

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of an axis: what differs from the base.

    Args:
        at: place on the axis.
        slices: per stack.
        max_coc_px: blur DIAMETER of the far end of the sweep when focused at its near end.
        shot: variance of the shot noise per unit of light.
        misalignment_px: root mean square error at the corners that the alignment left.
        bare_share: of the surfaces that have no texture.
        thin_share: of the objects that are wires, bars, twigs and the like.
        focus_error_steps: deviation of the true from the reported focus, in mean steps of the ladder.
    """

    at: float
    slices: int | None = None
    max_coc_px: float | None = None
    shot: float | None = None
    misalignment_px: float | None = None
    bare_share: float | None = None
    thin_share: float | None = None
    focus_error_steps: float | None = None


@dataclass(frozen=True)
class Axis:
    """One kind of difficulty.

    Args:
        name: of the table and of the plot.
        label: of the numbers ``at``.
        levels: in the order of the plot.
        log: whether the plot's axis is logarithmic.
    """

    name: str
    label: str
    levels: tuple[Level, ...]
    log: bool = False

    def __post_init__(self) -> None:
        places = [level.at for level in self.levels]
        if len(places) < 2 or places != sorted(set(places)):
            raise ValueError(f"{self.name}: levels at {places}; give at least 2, rising")
        if self.log and places[0] <= 0:
            raise ValueError(f"{self.name}: a logarithmic axis has levels above 0")


@dataclass(frozen=True)
class Setup:
    """How the stacks of one level are made; equal setups are measured once.

    Args:
        simulation: scene and camera.
        slices: per stack.
        misalignment_px: as in `Level`.
    """

    simulation: SimulationConfig
    slices: int
    misalignment_px: float


@dataclass(frozen=True)
class Protocol:
    """Stacks, axes, rivals and what is measured.

    Args:
        seeds: of the stacks of every level: the same scenes at all levels of an axis, as far as the axis
            allows. Training draws none below `dff.train.source.HELD_OUT_SEEDS`.
        tuning: of the base stacks that rivals are tuned on.
        slices, misalignment_px: of the base.
        stacks: scene and camera of the base.
        solid, thin: names of `dff.simulator.shapes.SHAPES`.
        thin_share: of the base.
        axes: of difficulty.
        rivals: values to try of each setting of each rival; of those left out the usual ones are taken.
        edge_step: jump of the true depth [sweep] that counts as an edge.
    """

    seeds: Seeds
    tuning: Seeds
    slices: int
    misalignment_px: float
    stacks: SimulationConfig
    solid: tuple[str, ...]
    thin: tuple[str, ...]
    thin_share: float
    axes: tuple[Axis, ...]
    rivals: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    edge_step: float = 0.1

    def __post_init__(self) -> None:
        for name in ("seeds", "tuning"):
            seeds = getattr(self, name).take(None)
            if seeds.start < 0 or seeds.stop > HELD_OUT_SEEDS:
                raise ValueError(
                    f"{name}: {seeds.start} to {seeds.stop - 1}; seeds that training cannot draw are 0 to "
                    f"{HELD_OUT_SEEDS - 1}"
                )
        if set(self.seeds.take(None)) & set(self.tuning.take(None)):
            raise ValueError("seeds: some are also in tuning; tune the rivals on other stacks")
        if not isinstance(self.stacks.camera, CameraPrior):
            raise ValueError("stacks.camera: give a table of a camera prior: levels change parts of it")
        unknown = sorted({*self.solid, *self.thin} - set(SHAPES))
        if unknown or not self.solid or not self.thin:
            raise ValueError(
                f"solid and thin: {', '.join(unknown) or 'one is empty'}; choose from {', '.join(SHAPES)}"
            )
        if len({axis.name for axis in self.axes}) != len(self.axes) or not self.axes:
            raise ValueError("axes: give at least one, each of another name")
        for rival, values in self.rivals.items():
            next(combinations(rival, values))
        for axis in self.axes:
            for level in axis.levels:
                self.setup(level)

    @property
    def base_setup(self) -> Setup:
        return self.setup(Level(at=0))

    def setup(self, level: Level) -> Setup:
        """How the stacks of a level are made.

        Raises:
            ValueError: a value out of its range.
        """
        camera, scene = self.stacks.camera, self.stacks.scene
        assert isinstance(camera, CameraPrior)
        if level.max_coc_px is not None:
            camera = replace(camera, max_coc_px=(level.max_coc_px, level.max_coc_px))
        if level.shot is not None:
            camera = replace(camera, sensors=(Sensor(shot=(level.shot, level.shot)),))
        if level.focus_error_steps is not None:
            camera = replace(camera, focus_error_steps=level.focus_error_steps)
        if level.bare_share is not None:
            scene = replace(scene, plain_share=level.bare_share)
        scene = replace(
            scene, shapes=self._shapes(self.thin_share if level.thin_share is None else level.thin_share)
        )
        misalignment_px = self.misalignment_px if level.misalignment_px is None else level.misalignment_px
        slices = self.slices if level.slices is None else level.slices
        if misalignment_px < 0 or slices < 2:
            raise ValueError(
                f"misalignment_px {misalignment_px:g}, slices {slices}: give 0 or more, and 2 or more"
            )
        return Setup(replace(self.stacks, camera=camera, scene=scene), slices, misalignment_px)

    def _shapes(self, share: float) -> tuple[str, ...]:
        """A list to draw shapes from, of which this share is thin."""
        if not 0 <= share <= 1:
            raise ValueError(f"thin_share {share:g}: must lie in [0,1]")
        count = round(share * _SHAPES_LISTED)
        kinds = [self.thin] * count + [self.solid] * (_SHAPES_LISTED - count)
        return tuple(names[k % len(names)] for k, names in enumerate(kinds))
