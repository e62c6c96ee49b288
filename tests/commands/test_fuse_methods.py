"""`dff fuse --method`: each way writes a sharp picture of the slices' own bit depth, with their metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from told import strict

from dff.cli import main

METHODS = pytest.mark.parametrize("method", ["guided", "pyramid"])


@METHODS
def test_sharp_parts_and_metadata_are_kept(method: str, stairs: Path) -> None:
    words = ["--align", "none", "--out", "sharp.jpg", "--report", "r.json"]
    assert main(["fuse", str(stairs), "--method", method, *words]) == 0
    with Image.open("sharp.jpg") as picture:
        assert picture.getexif()[271] == "ACME"
        assert picture.info["icc_profile"]
        fused = np.asarray(picture, dtype=float)
    slices = [np.asarray(Image.open(stairs / f"img{k}.jpg"), dtype=float) for k in range(6)]
    assert fused.std() > 1.15 * max(picture.std() for picture in slices)
    report = strict(Path("r.json").read_text())
    assert report["fusion"] == method
    assert "model" not in report


@METHODS
def test_sixteen_bits_stay(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep").mkdir()
    random = np.random.default_rng(0)
    for k in range(3):
        tifffile.imwrite(f"deep/{k}.tif", random.integers(0, 65535, (48, 64, 3)).astype(np.uint16))
    assert (
        main(["fuse", "deep", "--method", method, "--align", "none", "--poor", "keep", "--out", "f.tif"]) == 0
    )
    fused = tifffile.imread("f.tif")
    assert fused.dtype == np.uint16
    assert len(np.unique(fused & 255)) > 200


def test_an_unknown_method_is_refused(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", str(stairs), "--method", "wavelet"]) == 2
    assert "--method: no choice 'wavelet'" in capsys.readouterr().err
