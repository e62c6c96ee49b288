import cv2

from dff.eval.__main__ import main


def test_end_to_end(tmp_path, write_slices, breathing_slices):
    write_slices(tmp_path / "data" / "small", breathing_slices)
    recipe = tmp_path / "one.toml"
    recipe.write_text('stacks = ["small"]\nmodels = ["classical"]\nheight_px = 90\n')
    pictures = tmp_path / "pictures"
    arguments = ["gallery", "--data", str(tmp_path / "data"), "--pictures", str(pictures)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--protocol", str(recipe)]) == 0
    assert cv2.imread(str(pictures / "small.jpg")).shape[0] == 90
    assert "| small |" in (tmp_path / "out" / "gallery.md").read_text()
