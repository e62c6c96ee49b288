"""Miniature data sets, each written in the exact layout, types, order and units of the real one."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import OpenEXR
from PIL import Image

from dff.simulator.camera_model import Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.dataset import Dataset, plan, write_dataset
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sources import ProceduralScenes

DDFF_PX = np.linspace(0.141238 / 0.5, 0.141238 / 7, 10)  # near slice first, as in the files


def pictures(seed: int, n: int, height: int, width: int) -> np.ndarray:
    """(n,height,width,3) uint8 of noise; the first pixel of slice k is (k, seed, 7)."""
    grain = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)
    grain[:, 0, 0] = [(k, seed, 7) for k in range(n)]
    return grain


def ramp(low: float, high: float, height: int, width: int) -> np.ndarray:
    """(height,width) float64 from ``low`` on the left to ``high`` on the right."""
    return np.broadcast_to(np.linspace(low, high, width), (height, width)).copy()


def ddff12(folder: Path, *, side: int = 64) -> Path:
    """Official files: uint8 stacks, float64 disparities [px], 0 where unknown; test file without truth."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "ddff-dataset-trainval.h5", "w") as file:
        for part, count in (("train", 3), ("val", 2)):
            stacks = np.stack([pictures(10 * count + i, 10, side, side) for i in range(count)])
            disparity = np.stack([ramp(0.0202, 0.2825, side, side)] * count)
            disparity[:, -1] = 0
            file[f"stack_{part}"], file[f"disp_{part}"] = stacks, disparity
    with h5py.File(folder / "ddff-dataset-test.h5", "w") as file:
        file["stack_test"] = np.stack([pictures(1, 10, 12, 16), pictures(2, 10, 12, 16)])
    return folder


def ddff12_frames(folder: Path) -> Path:
    """The re-pack of Yang et al.: whole frames, float32 of 0 to 255, and all-in-focus pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "my_ddff_trainVal.h5", "w") as file:
        for part, count in (("train", 2), ("val", 1)):
            stacks = np.stack([pictures(i, 10, 48, 64) for i in range(count)]).astype(np.float32)
            file[f"stack_{part}"], file[f"AiF_{part}"] = stacks, stacks[:, 3]
            file[f"disp_{part}"] = np.stack([ramp(0.02, 0.28, 48, 64)] * count).astype(np.float32)
    return folder


def write_exr(path: Path, **channels: np.ndarray) -> None:
    """Channels by name, float16 or float32 as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {k: np.ascontiguousarray(v) for k, v in channels.items()}) as file:
        file.write(str(path))


def write_picture(path: Path, pixels: np.ndarray, **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)


def defocusnet(folder: Path, *, parted: bool = False) -> Path:
    """fs_6: 8-bit TIFF, near slice first; half-float EXR with metres in R, far background beyond 3 m."""
    for number in (0, 1, 399, 400):
        place = folder / "fs_6" / (("train" if number < 400 else "test") if parted else "")
        depth = ramp(0.1, 4.0, 64, 64).astype(np.float16)
        zero = np.zeros_like(depth)
        for k, picture in enumerate(pictures(number % 256, 5, 64, 64)):
            write_picture(place / f"{number:06d}_{k:02d}All.tif", picture)
        write_exr(place / f"{number:06d}Dpt.exr", R=depth, G=zero, B=zero)
    return folder


def smartphone(folder: Path) -> Path:
    """Two parts with ten of the 49 slices: upright 8-bit JPEG, 8-bit depth, confidence beyond 1 in places."""
    for part in ("train2", "test"):
        scene = folder / part / "scaled_images" / "home1_0_0"
        for k in np.rint(np.linspace(0, 48, 10)).astype(int):
            flat = np.full((504, 378, 3), 5 * k, np.uint8)
            write_picture(scene / str(k) / "result_scaled_image_center.jpg", flat, quality=95)
        levels = np.full((504, 378), 51, np.uint8)
        levels[84, 63] = 255
        write_picture(folder / part / "merged_depth/home1_0_0/result_merged_depth_center.png", levels)
        trust = ramp(0, 2, 504, 378).astype(np.float32)
        write_exr(
            folder / part / "merged_conf/home1_0_0/result_merged_conf_center.exr", R=trust, G=trust, B=trust
        )
    return folder


def lightfield4d(folder: Path) -> Path:
    """float32 stacks of 0 to 255, far slice first; signed disparities; names as strings of any length."""
    folder.mkdir(parents=True, exist_ok=True)
    words = h5py.string_dtype()
    with h5py.File(folder / "HCI_FS_trainval.h5", "w") as file:
        file["focus_position_disp"] = np.linspace(-2.5, 2.5, 10)[None]
        for part, names in (("train", ["antinous", "boardgames"]), ("val", ["boxes", "cotton"])):
            stacks = np.stack([pictures(i, 10, 64, 64) for i in range(2)]).astype(np.float32)
            file[f"stack_{part}"], file[f"AiF_{part}"] = stacks, stacks[:, 0]
            file[f"disp_{part}"] = np.stack([ramp(-2.6, 2.6, 64, 64)] * 2).astype(np.float32)
            file[f"name_{part}"] = np.array(names, dtype=object)[:, None].astype(words)
            for key in ("focal_length_mm", "baseline_mm", "syn_aperture"):
                file[f"{key}_{part}"] = np.ones((2, 1))
    return folder


def _disparity_scene(scene: Path, seed: int, nearest: float) -> None:
    slices = pictures(seed, 16, 64, 80)
    for at, picture in zip(np.linspace(10, nearest, 15), slices, strict=False):
        write_picture(scene / f"{float(at)!r}.png", picture)
    write_picture(scene / "AiF.png", slices[15])
    depth = ramp(5, 1.1 * nearest, 64, 80).astype(np.float32)
    depth[0] = 0
    write_exr(scene / "disp.exr", Y=depth)


def flyingthings3d(folder: Path) -> Path:
    """15 PNG called by the shortest words of their disparity, one-channel float32 EXR."""
    for part, count in (("train", 2), ("val", 1)):
        for i in range(count):
            _disparity_scene(folder / "FlyingThings3D_FS" / part / "focal_stack" / f"{i:07d}", i, 100)
    return folder


def middlebury(folder: Path) -> Path:
    """As `flyingthings3d`, without parts, up to 60 px."""
    for i, name in enumerate(("Adirondack", "Jadeplant")):
        _disparity_scene(folder / "Middlebury_FS" / "focal_stack" / name, i, 60)
    return folder


def mobile_depth(folder: Path) -> Path:
    """Aligned slices, and calibration with the focal length in its last line; odd units and names."""
    distances = {
        "balls": [1e6, 40.0, 20.0, 10.0],
        "metals": [10.0, 20.0, 40.0, 80.0],
        "plants": [30.0, 30.0, 20.0, 9.0],
    }
    for i, (scene, numbers) in enumerate(distances.items()):
        for k, picture in enumerate(pictures(i, 4, 48, 64)):
            flat = np.full_like(picture, 40 * k)
            write_picture(folder / f"Aligned/Figure{i}" / scene / f"a{k + 1:02d}.jpg", flat, quality=95)
        calibration = folder / "calibration" / {"metals": "metal"}.get(scene, scene)
        calibration.mkdir(parents=True)
        lines = [f"{distance:.6f} 1.9" for distance in numbers]
        (calibration / "calibrated.txt").write_text("\n".join([*lines, "0.17"]) + "\n")
    return folder


def _depth_png(
    path: Path, height: int, width: int, per_metre: float, nearest: float, farthest: float
) -> None:
    write_picture(path, (ramp(nearest, farthest, height, width) * per_metre).round().astype(np.uint16))


def nyuv2(folder: Path) -> Path:
    """All three recipes: pictures with depth in mm; slices with depth in 0.1 mm; MATLAB 7.3 arrays."""
    for part in ("sync", "test"):
        scene = folder / part / "kitchen_0001"
        write_picture(scene / "rgb_00045.jpg", pictures(1, 1, 480, 640)[0])
        _depth_png(scene / "sync_depth_00045.png", 480, 640, 1000, 1, 9)
    for part in ("train", "test"):
        for name in ("0001", "0007"):
            write_picture(folder / f"{part}_rgb" / f"{name}.png", pictures(2, 1, 480, 640)[0])
            _depth_png(folder / f"{part}_depth" / f"{name}.png", 480, 640, 1e4, 1, 6.5)
            for k, slice_ in enumerate(pictures(3, 5, 240, 320)):
                write_picture(folder / f"{part}_fs5" / f"{name}_{k:04d}.png", slice_)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["depths"] = np.stack([ramp(1, 8, 48, 64).T] * 2).astype(np.float32)
        file["images"] = np.stack([pictures(4, 1, 48, 64)[0].T] * 2)
    for k, at in enumerate((2, 4, 8)):
        for number in (1, 2):
            write_picture(
                folder / f"focal_stack/blurred_rgb_{at}" / f"{number}.png", pictures(5, 3, 48, 64)[k]
            )
    return folder


def zedd(folder: Path) -> Path:
    """Runs of a motor with their focus in metadata.txt; depth in metres for the validation part alone."""
    folder.mkdir(parents=True, exist_ok=True)
    codes = {1: ("1f00", 0.6), 3: ("20aa", 1.1), 5: ("2371", 2.2), 7: ("2500", 4.0), 9: ("26ff", 9.0)}
    lines = [f"run_{run}\t{code}\t{focus}" for run, (code, focus) in codes.items()]
    (folder / "metadata.txt").write_text("# run_id\thex\tfocus\n" + "\n".join(lines) + "\n")
    for part in ("val", "test"):
        for name in ("000", "001"):
            stack = folder / part / name / "focus_stack"
            for run, (code, _) in codes.items():
                flat = np.full((64, 96, 3), 20 * run, np.uint8)
                write_picture(stack / f"img_run_{run}_motor_{code}_aperture_F2.8.jpg", flat, quality=95)
            write_picture(stack / "img_run_5_motor_2371_aperture_F16.0.jpg", flat, quality=95)
            truth = folder / part / name / "gt"
            truth.mkdir()
            np.savetxt(truth / "K.txt", np.eye(3))
            if part == "val":
                depth = ramp(0.5, 8, 32, 48).astype(np.float32)
                depth[0] = np.nan
                np.save(truth / "depth.npy", depth)
    return folder


def arkitscenes(folder: Path) -> Path:
    """Pictures and depth in mm, 16 bit, 0 where unknown."""
    for part in ("Training", "Validation"):
        video = folder / "upsampling" / part / "47334105"
        for time in ("93033.275", "93040.100"):
            write_picture(video / "wide" / f"47334105_{time}.png", pictures(1, 1, 384, 512)[0])
            depth = (ramp(0.5, 4, 384, 512) * 1000).astype(np.uint16)
            depth[:2] = 0
            write_picture(video / "highres_depth" / f"47334105_{time}.png", depth)
    return folder


def folder(folder: Path) -> Path:
    """Three stacks of `dff simulate`."""
    crop = Frame((64, 64))
    scenes = ProceduralScenes(SceneConfig(objects=(2, 3)))
    dataset = Dataset(scenes, load_camera("pixel4xl"), "pixel4xl", crop, 3, seed=3, n_slices=10)
    write_dataset(plan(dataset, folder))
    return folder


def mdff(folder: Path) -> Path:
    """float32 stacks of 0 to 255 and metres, called disparities; train and val begin with an empty place."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "mDFF-dataset_cropped_clipped.h5", "w") as file:
        for part, empty in (("train", 1), ("val", 1), ("test", 0)):
            stacks = np.stack([pictures(i, 5, 64, 64) for i in range(3)]).astype(np.float32)
            metres = np.stack([ramp(0.2, 3.9, 64, 64)] * 3).astype(np.float32)
            metres[:, 0] = 0
            stacks[:empty], metres[:empty] = 0, 0
            file[f"stack_{part}"], file[f"disp_{part}"] = stacks, metres
    (folder / "focus_distance.txt").write_text("0.3m 4m 1m 0.2m 0.5m\n")  # in no order
    return folder


def rgbd(folder: Path) -> Path:
    """Six pictures of one size with depth in mm, 16 bit."""
    for i in range(6):
        write_picture(folder / "image" / f"{i}.png", pictures(i, 1, 96, 128)[0])
        _depth_png(folder / "depth_mm" / f"{i}.png", 96, 128, 1000, 0.5, 3 + i)
    return folder
