"""A small focal stack on disk: a staircase of six textured steps, each sharp in one slice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

N, HEIGHT, WIDTH = 6, 96, 128


def _staircase(k: int, seed: int = 0) -> np.ndarray:
    """Slice ``k`` as (H,W,3) uint8: step s of the stairs is blurred by the distance between s and k."""
    grain = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    edges = np.linspace(0, WIDTH, N + 1).round().astype(int)
    picture = np.empty_like(grain)
    for step in range(N):
        columns = slice(edges[step], edges[step + 1])
        sigma = 0.6 + 0.9 * abs(step - k)
        picture[:, columns] = cv2.GaussianBlur(grain, (0, 0), sigma)[:, columns]
    return picture


@pytest.fixture(scope="session")
def _staircase_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staircase")
    exif = Image.Exif()
    exif[271] = "ACME"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for k in range(N):
        Image.fromarray(_staircase(k)).save(folder / f"img{k}.jpg", quality=95, exif=exif, icc_profile=icc)
    return folder


@pytest.fixture
def stairs(_staircase_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``stairs`` with the six slices, far first, in a current folder of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(_staircase_files, tmp_path / "stairs")
    return Path("stairs")


@pytest.fixture
def snapshot() -> Callable[[], dict[str, bytes]]:
    """``snapshot()``: every file below the current folder with its bytes, and every folder."""

    def take() -> dict[str, bytes]:
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in Path().rglob("*")}

    return take


@pytest.fixture
def untrained_head(tmp_path: Path) -> Path:
    """Weights of an untrained autofocus head that trusts depth: the prior of its depth network answers."""
    import json
    from dataclasses import asdict

    import torch
    from safetensors.torch import save_file

    from dff.model.focus_head import KIND, FocusHeadConfig, FocusNetwork
    from dff.model.network import SIZES, DepthNetwork
    from dff.weights import FORMAT

    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = FocusHeadConfig(channels=12, votes=12, blocks=1)
    network = FocusNetwork(DepthNetwork(SIZES["nano"]), config)
    torch.nn.init.constant_(network.head.trust.bias, 3.0)
    made = {"head": asdict(config), "depth": asdict(SIZES["nano"])}
    header = {"format": FORMAT, "network": KIND, "config": json.dumps(made), "info": "{}"}
    path = tmp_path / "untrained.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path, header)
    return path
