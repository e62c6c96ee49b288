import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dff.simulator.draws import Draws
from dff.simulator.photos import PhotoPack, load_photos, pack_photos

SIDE = 48


def picture(width, height, red, seed=0):
    """Smooth stripes (so that JPEG keeps them) of the given redness."""
    y, x = np.mgrid[:height, :width]
    wave = 60 + 50 * np.sin(x / 7 + seed) * np.cos(y / 9)
    return Image.fromarray(np.stack([np.full_like(wave, red), wave, 160 - wave], -1).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    album = tmp_path / "album"
    (album / "deep").mkdir(parents=True)
    picture(60, 50, 200).save(album / "small.png")
    picture(150, 100, 30).save(album / "deep" / "wide.jpg", quality=95)
    (album / "LICENCE.txt").write_text("free")
    return album


def test_a_pack_holds_the_tiles_of_its_folder(folder, tmp_path):
    out = pack_photos(folder, tmp_path / "photos.safetensors", size=SIDE)
    packed, plain = load_photos(out), load_photos(folder, size=SIDE)
    # one of each as a whole, and 3x2 of the wide one at full resolution
    assert packed.tiles.shape == (8, 3, SIDE, SIDE)
    assert packed.credits == plain.credits == ("deep/wide.jpg", "small.png", *("deep/wide.jpg",) * 6)
    difference = (packed.tiles.float() - plain.tiles.float()).abs()
    assert float(difference.mean()) < 3
    assert float(packed.tiles[1, 0].float().mean()) == pytest.approx(200, abs=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["album", "photos.safetensors"]


def test_a_pack_stays_within_its_bound_and_takes_all_photographs_first(folder, tmp_path):
    rng = np.random.default_rng(0)
    for k in range(5):
        Image.fromarray(rng.integers(0, 256, (150, 150, 3)).astype(np.uint8)).save(folder / f"noise{k}.png")
    full = pack_photos(folder, tmp_path / "all.safetensors", size=SIDE)
    tight = pack_photos(folder, tmp_path / "tight.safetensors", size=SIDE, most_mb=0.06)
    assert tight.stat().st_size < 0.06e6 < full.stat().st_size
    assert len(load_photos(tight)) < len(load_photos(full))
    assert len(set(load_photos(tight).credits)) == 7


def test_a_folder_is_read_up_to_a_number_of_tiles(folder):
    pack = load_photos(folder, size=SIDE, most_tiles=3)
    assert len(pack) == 3
    assert len(set(pack.credits)) == 2


@pytest.mark.parametrize("size", [(32, 40), (90, 130)])
def test_crops_show_the_photographs(folder, size):
    pack = load_photos(folder, size=SIDE)
    draws = Draws(torch.Generator().manual_seed(0))
    crops = pack.crops(draws, 12, *size)
    assert crops.shape == (12, 3, *size)
    assert float(crops.min()) >= 0
    assert float(crops.max()) <= 1
    reds = set((crops[:, 0].mean((1, 2)) * 255).round().int().tolist())
    assert reds & set(range(195, 206))
    assert reds & set(range(25, 36))
    again = pack.crops(Draws(torch.Generator().manual_seed(0)), 12, *size)
    assert torch.equal(crops, again)


def test_crops_are_turned_and_mirrored_but_keep_their_detail():
    # a ramp to the right: where it rises tells how the crop lies
    ramp = torch.arange(64).repeat(64, 1) * 4
    pack = PhotoPack(ramp.expand(1, 3, 64, 64).to(torch.uint8), ("ramp",))
    crops = pack.crops(Draws(torch.Generator().manual_seed(0)), 200, 20, 20)[:, 0] * 255 / 4
    middle = crops[:, 8:12, 8:12]
    across, down = (
        (middle[:, :, -1] - middle[:, :, 0]).mean(1) / 3,
        (middle[:, -1] - middle[:, 0]).mean(1) / 3,
    )
    zoom = torch.hypot(across, down)
    assert float(zoom.min()) > 0.3
    assert float(zoom.max()) < 1.2
    assert bool((across > 0.3).any())
    assert bool((across < -0.3).any())
    upright = (down.abs() < 0.35 * across.abs()).float().mean()
    assert 0.4 < float(upright) < 0.9


def test_bad_folders_and_files_are_refused(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "photos.safetensors"
    with pytest.raises(FileNotFoundError, match="empty: no photograph"):
        pack_photos(empty, out)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        pack_photos(tmp_path / "nowhere", out)
    with pytest.raises(ValueError, match="unknown suffix"):
        pack_photos(folder, tmp_path / "photos.npz")
    with pytest.raises(ValueError, match="not one tile"):
        pack_photos(folder, out, size=SIDE, most_mb=0.005)
    with pytest.raises(ValueError, match="too small"):
        pack_photos(folder, out, size=8)
    (folder / "broken.jpg").write_bytes((folder / "deep" / "wide.jpg").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"broken\.jpg: cannot be read as a picture"):
        pack_photos(folder, out, size=SIDE)
    assert not out.exists()
    out.write_bytes(b"old")
    with pytest.raises(ValueError, match="exists"):
        pack_photos(folder, out, size=SIDE)


def test_files_of_another_kind_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such photographs"):
        load_photos(tmp_path / "none.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(ValueError, match="cannot be read"):
        load_photos(text)
    weights = tmp_path / "weights.safetensors"
    save_file({"layer": torch.zeros(3)}, weights)
    with pytest.raises(ValueError, match="holds no photographs"):
        load_photos(weights)
    with pytest.raises(ValueError, match="T credits"):
        PhotoPack(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ("one",))
