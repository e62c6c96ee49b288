"""Step networks by the one loop: sources, resume, export, and the policy's hook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dff.calibration.degrade import blur, degrade
from dff.simulator.photos import PhotoPack
from dff.train.__main__ import main
from dff.train.export import main as export
from dff.train.source import stream_seed
from dff.train.step_source import StepSource, noise_curves
from dff.train.step_spectra import SpectrumSource
from dff.train.tasks import build_task, load_config


@pytest.fixture(scope="module")
def photos() -> PhotoPack:
    tiles = torch.randint(
        0, 255, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    tiles = torch.nn.functional.interpolate(tiles.float(), size=(128, 128), mode="bicubic").clamp(0, 255)
    return PhotoPack(tiles.byte(), ("a", "b", "c"))


def test_a_batch_has_the_blur_of_its_distance(photos: PhotoPack) -> None:
    source = StepSource(load_config("step_debug"), 0, photos=photos)
    batch = source.make(stream_seed(1))
    assert batch["images"].shape == (2, 1, 512, 512)
    assert batch["images"].dtype == torch.uint8
    again = source.make(stream_seed(1))
    assert bool((again["images"] == batch["images"]).all())
    seen = source.change(batch, 1, torch.Generator().manual_seed(4))
    assert seen["images"].dtype == torch.float32
    assert float(seen["images"].min()) >= 0
    assert seen["keep"].shape == (2, 64)
    with pytest.raises(ValueError, match="--data PHOTOS"):
        StepSource(load_config("step_debug"), 0)


def test_noise_follows_light_and_the_slope_of_the_tone_curve() -> None:
    one = torch.ones(1)
    value, deviation = noise_curves(0.5 * one, one, 1e-3 * one, 1e-6 * one, 2.0)
    assert float(value[0, 255]) == pytest.approx(0.5)
    light = 0.25
    assert float(deviation[0, 255]) == pytest.approx((1e-3 * light + 1e-6) ** 0.5 / (2 * 0.5), rel=0.05)


def test_spectra_made_without_pictures_are_those_of_blurred_pictures(photos: PhotoPack) -> None:
    """White noise has the same power everywhere, so both ways can be compared band by band."""
    from dff.model.step_spectrum import spectrum, to_power

    source = SpectrumSource(load_config("step_spectrum"), 0, photos=photos)
    light = torch.rand(6, 1, 512, 512, generator=torch.Generator().manual_seed(1))
    sharp = to_power(spectrum(light)).mean(0)
    row = round(5.0 / 0.05)
    made = (sharp[:, None] * source._transfer[row]).log().mean(-1)
    seen = (to_power(spectrum(blur(light, torch.tensor([5.0]))))).log().mean(0)
    middle = slice(30, 52)  # below, few frequencies; above, the zeros of the transfer
    assert float((made - seen)[middle].abs().median()) < 0.25


def test_noise_on_spectra_is_that_of_noisy_light(photos: PhotoPack, monkeypatch: pytest.MonkeyPatch) -> None:
    from dff.model.step_spectrum import spectrum
    from dff.train import step_spectra

    monkeypatch.setattr(step_spectra, "_NOISE", (1e-4, 1e-4 + 1e-12))
    monkeypatch.setattr(step_spectra, "_CONTRAST", (1.0, 1.0 + 1e-12))
    source = SpectrumSource(load_config("step_spectrum"), 0, photos=photos)
    generator = torch.Generator().manual_seed(1)
    light = blur(torch.rand(6, 1, 512, 512, generator=generator), torch.tensor([3.0]))
    clean = {"spectra": spectrum(light), "distance": torch.zeros(6)}
    noisy = spectrum(light + 1e-2 * torch.randn(light.shape, generator=generator))
    found = source.change(clean, 1, generator)["spectra"]
    assert float((found - noisy).mean(0)[20:].abs().max()) < 0.15  # of a spread of some 2
    assert float((clean["spectra"] - noisy).mean(0).abs().max()) > 0.5


def test_the_loop_trains_resumes_and_exports(tmp_path: Path, photos: PhotoPack) -> None:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    for k, tile in enumerate(photos.tiles):
        Image.fromarray(tile.permute(1, 2, 0).numpy()).save(folder / f"{k}.png")
    common = ["--dataset", "step_debug", "--data", str(folder)]
    assert main([*common, "--out", str(tmp_path / "whole"), "--steps", "4"]) == 0
    assert main([*common, "--out", str(tmp_path / "parts"), "--steps", "3"]) == 0
    assert main([*common, "--out", str(tmp_path / "parts"), "--steps", "4", "--resume"]) == 0
    files = []
    for run in ("whole", "parts"):
        files.append(tmp_path / f"{run}.safetensors")
        assert export([str(tmp_path / run / "checkpoint.safetensors"), str(files[-1]), "--no-half"]) == 0
    from dff.model.step import load_discriminator, load_estimator

    one, other = (load_estimator(file) for file in files)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="not for step_discriminator"):
        load_discriminator(files[0])


@pytest.mark.parametrize("name", ["step_estimator", "step_discriminator", "step_spectrum"])
def test_recipes_say_what_their_task_knows(name: str) -> None:
    task = build_task(load_config(name))
    assert set(task.trained(task.network())) == {name}
    assert "total" in task.parts


def test_degraded_pictures_need_room_for_their_blur() -> None:
    with pytest.raises(ValueError, match="px more at the edges"):
        degrade(torch.rand(1, 1, 64, 64), torch.tensor([20.0]), torch.tensor([1.0]), 48, 48)
    kept = degrade(torch.ones(1, 1, 64, 64), torch.tensor([5.0]), torch.tensor([1.1]), 32, 32)
    np.testing.assert_allclose(kept.numpy(), 1.0, atol=1e-5)
