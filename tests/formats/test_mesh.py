from pathlib import Path

import numpy as np
import pytest
import trimesh

from dff.camera import Lens
from dff.formats.mesh import RELIEF, build_mesh, write_mesh
from dff.stack import DepthMap, Unit

LENS = Lens(focal_length_m=0.004, f_number=2.0, pixel_pitch_m=5e-5)  # f_px = 80
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def flat(
    dioptre: float = 2.0,
    positions: np.ndarray | None = None,
    unit: Unit = "dioptre",
    shape: tuple[int, int] = (24, 40),
) -> DepthMap:
    positions = np.linspace(0, 4, 9) if positions is None else positions
    index = np.full(shape, np.interp(dioptre, positions, np.arange(len(positions))))
    return DepthMap(index, np.ones(shape), np.ones(shape, bool), positions, unit)


def test_pinhole_in_metres() -> None:
    mesh = build_mesh(flat(2.0), PICTURE, lens=LENS)
    assert mesh.vertices.shape == (24 * 40, 3)
    assert np.allclose(mesh.vertices[:, 2], -0.5)
    # pixel (row 0, column 0): left and up of the axis, by pixels over f_px times distance
    assert np.allclose(mesh.vertices[0], [-19.5 / 80 * 0.5, 11.5 / 80 * 0.5, -0.5])
    assert np.allclose(mesh.vertices[-1], [19.5 / 80 * 0.5, -11.5 / 80 * 0.5, -0.5])
    assert len(mesh.faces) == 2 * 23 * 39


def test_faces_look_at_the_camera() -> None:
    for mesh in (build_mesh(flat(), PICTURE, lens=LENS), build_mesh(flat(), PICTURE)):
        assert np.allclose(mesh.face_normals, [0, 0, 1])


def test_colours_are_those_of_the_pixels() -> None:
    mesh = build_mesh(flat(), PICTURE, lens=LENS)
    assert np.array_equal(mesh.visual.vertex_colors[:, :3], PICTURE.reshape(-1, 3))
    assert np.all(mesh.visual.vertex_colors[:, 3] == 255)
    wide = build_mesh(flat(), PICTURE.astype(np.uint16) * 257)
    assert np.array_equal(wide.visual.vertex_colors, mesh.visual.vertex_colors)
    grey = build_mesh(flat(), PICTURE[..., 0] / 255.0)
    assert np.array_equal(grey.visual.vertex_colors[:, 1], PICTURE[..., 0].ravel())
    assert len(np.unique(build_mesh(flat(), None).visual.vertex_colors, axis=0)) == 1


def test_unknown_pixels_are_left_out() -> None:
    depth = flat()
    depth.valid[5:9, 6:12] = False
    depth.index[20, 20] = np.nan
    mesh = build_mesh(depth, PICTURE, lens=LENS)
    assert len(mesh.vertices) == 24 * 40 - 4 * 6 - 1
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.max() == len(mesh.vertices) - 1


@pytest.mark.parametrize("lens", [LENS, None])
def test_no_face_bridges_an_edge(lens: Lens | None) -> None:
    depth = flat(1.0)
    depth.index[:, 20:] = 6
    mesh = build_mesh(depth, PICTURE, lens=lens)
    assert np.ptp(mesh.vertices[mesh.faces][..., 2], axis=1).max() == 0
    assert len(mesh.faces) == 2 * 2 * 23 * 19


def test_a_slanted_plane_holds_together() -> None:
    depth = flat()
    depth.index[:] = np.linspace(3, 6, 40)
    for lens in (LENS, None):
        assert len(build_mesh(depth, PICTURE, lens=lens).faces) == 2 * 23 * 39


def test_infinity_is_a_backdrop() -> None:
    mesh = build_mesh(flat(0.0), PICTURE, lens=LENS)
    assert np.allclose(mesh.vertices[:, 2], -1 / (0.5 / 4))  # a quarter of the first step of 0.5 dioptre
    near = build_mesh(flat(1.0, np.linspace(1.0, 4.0, 7)), PICTURE, lens=LENS)
    assert np.allclose(near.vertices[:, 2], -1.0)


@pytest.mark.parametrize("unit", ["um", "index", "dioptre"])
def test_relief(unit: Unit) -> None:
    positions = np.arange(9.0) if unit == "index" else np.linspace(0, 4, 9)
    depth = flat(0, positions, unit)
    depth.index[:] = np.linspace(0, 8, 24)[:, None]
    mesh = build_mesh(depth, PICTURE, lens=LENS if unit != "dioptre" else None)
    assert np.allclose(mesh.bounds[:, 2], [-RELIEF, 0])
    assert np.allclose(mesh.bounds[1, :2] - mesh.bounds[0, :2], [39 / 40, 23 / 40])
    assert mesh.vertices[0, 1] > mesh.vertices[-1, 1]
    assert mesh.vertices[0, 2] < mesh.vertices[-1, 2]


def test_large_maps_are_thinned() -> None:
    depth = flat(shape=(300, 400))
    picture = np.full((300, 400, 3), 77, np.uint8)
    mesh = build_mesh(depth, picture, lens=LENS, max_vertices=5000)
    assert 2500 < len(mesh.vertices) <= 5000
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(399 / 80 * 0.5, rel=0.02)
    assert abs(mesh.vertices[:, 0].mean()) < 0.01
    assert np.all(mesh.visual.vertex_colors[:, :3] == 77)


def test_ply_and_glb_round_trip(tmp_path: Path) -> None:
    depth = flat()
    depth.index[:] = np.linspace(3, 6, 40)
    mesh = build_mesh(depth, PICTURE, lens=LENS)
    ply = trimesh.load(write_mesh(depth, PICTURE, tmp_path / "a.ply", lens=LENS), process=False)
    assert np.allclose(ply.vertices, mesh.vertices, atol=1e-6)
    assert np.array_equal(ply.faces, mesh.faces)
    assert np.array_equal(ply.visual.vertex_colors, mesh.visual.vertex_colors)
    scene = trimesh.load(write_mesh(depth, PICTURE, tmp_path / "a.glb", lens=LENS), process=False)
    (glb,) = scene.geometry.values()
    assert np.allclose(glb.vertices, mesh.vertices, atol=1e-6)
    assert np.array_equal(glb.faces, mesh.faces)
    linear = glb.visual.vertex_attributes["color"][:, :3] / 65535
    display = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.array_equal(np.rint(255 * display), mesh.visual.vertex_colors[:, :3])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.glb", "a.ply"]


def test_glb_is_unlit_and_valid(tmp_path: Path) -> None:
    import json

    data = write_mesh(flat(), PICTURE, tmp_path / "a.glb", lens=LENS).read_bytes()
    length = int.from_bytes(data[12:16], "little")
    tree = json.loads(data[20 : 20 + length])
    primitive = tree["meshes"][0]["primitives"][0]
    colour = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    assert (colour["componentType"], colour["normalized"], colour["type"]) == (5123, True, "VEC4")
    assert set(primitive["attributes"]) == {"POSITION", "COLOR_0"}
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert "KHR_materials_unlit" in tree["materials"][primitive["material"]]["extensions"]


def test_errors_leave_nothing(tmp_path: Path) -> None:
    lonely = flat()
    lonely.valid[:] = False
    lonely.valid[::2, ::2] = True
    cases = [
        (flat(), PICTURE[:9], "a.ply", {}, "differ in size"),
        (flat(), PICTURE, "a.obj", {}, r"unknown suffix '\.obj'"),
        (flat(), PICTURE, "a.ply", {"max_vertices": 3}, "max_vertices is 3"),
        (lonely, PICTURE, "a.glb", {}, "no neighbouring known pixels"),
        (flat(shape=(1, 1)), PICTURE[:1, :1], "a.glb", {}, "no neighbouring known pixels"),
    ]
    for depth, picture, name, options, words in cases:
        with pytest.raises(ValueError, match=words):
            write_mesh(depth, picture, tmp_path / name, **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.ply").write_text("mine")
    with pytest.raises(ValueError, match="pass --overwrite"):
        write_mesh(flat(), PICTURE, tmp_path / "a.ply")
