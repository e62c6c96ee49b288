"""stack.toml."""

from __future__ import annotations

import numpy as np
import pytest

from dff.formats.read import read_stack
from dff.formats.stack_toml import read_stack_toml


def _stack(save_stack, text, names=("s1.png", "s2.png", "s3.png")):
    folder = save_stack(list(names))
    (folder / "stack.toml").write_text(text)
    return folder


def test_none(tmp_path):
    assert read_stack_toml(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "unit", "positions"),
    [
        ("focus_m = [inf, 2, 0.5]", "dioptre", [0, 0.5, 2]),
        ("focus_dioptre = [0.0, 1, 2.5]", "dioptre", [0, 1, 2.5]),
        ("z_um = [-1.5, 0, 1.5]", "um", [-1.5, 0, 1.5]),
        ("z_step_um = 2.5", "um", [0, 2.5, 5]),
    ],
)
def test_positions(save_stack, text, unit, positions):
    stack = read_stack(_stack(save_stack, text))
    assert stack.unit == unit
    np.testing.assert_allclose(stack.positions, positions)
    assert stack.origin == f"stack.toml: {text.split()[0]}"


def test_files_give_the_order(save_stack):
    text = 'files = ["near.png", "far.png"]\nfocus_m = [0.2, inf]'
    folder = _stack(save_stack, text, ("far.png", "near.png", "other.png"))
    for source in (folder, str(folder), [folder]):
        stack = read_stack(source)
        assert stack.names == ("near.png", "far.png")
        np.testing.assert_allclose(stack.focus, [5, 0])


def test_a_part_of_the_folder_gets_its_own_values(save_stack):
    folder = _stack(save_stack, "focus_m = [4, 2, 1]")
    stack = read_stack([folder / "s3.png", folder / "s1.png"])
    np.testing.assert_allclose(stack.focus, [1, 0.25])


def test_lens(save_stack):
    lens = "[lens]\nfocal_length_mm = 4.38\nf_number = 1.8\npixel_pitch_um = 1.4\nbreathing = 1.2"
    stack = read_stack(_stack(save_stack, lens))
    assert stack.unit == "index"
    assert stack.lens.focal_length_m == pytest.approx(4.38e-3)
    assert stack.lens.pixel_pitch_m == pytest.approx(1.4e-6)
    assert (stack.lens.f_number, stack.lens.breathing) == (1.8, 1.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("focus = [1, 2, 3]", "unknown key focus; known are focus_m, focus_dioptre, z_um, z_step_um, "),
        ("focal = 1", "files, lens"),
        ("[lens]\nfov = 3", r"unknown key lens\.fov; known are focal_length_mm"),
        ("[lens]\nf_number = 2", "lacks focal_length_mm, pixel_pitch_um"),
        ("[lens]\nf_number = -2", r"lens\.f_number must be positive, got -2"),
        ("lens = 3", "lens must be a table"),
        ("focus_m = [1, 2", "not valid TOML"),
        ("focus_m = [1, 2]", "focus_m: 2 values for 3 slices"),
        ("focus_m = [1, 2, nan]", "focus_m: NaN"),
        ("focus_m = [1, 2, -3]", "focus_m: negative"),
        ("focus_m = [1, 2, 2]", "slices 1 and 2 have the same value"),
        ("focus_m = [1, 2, 0]", "focus_m: focus at 0 m"),
        ('focus_m = [1, 2, "3"]', "focus_m must be a number, got '3'"),
        ("focus_m = [1, 2, true]", "must be a number"),
        ("focus_m = 3", "focus_m must be a list"),
        ("focus_m = [1, 2, 3]\nz_step_um = 1", "gives focus_m and z_step_um"),
        ("z_step_um = 0", "z_step_um must be positive"),
        ("files = [1]", "files must be file names"),
        ('files = ["s1.png", "s1.png"]', r"names s1\.png twice"),
    ],
)  # fmt: skip
def test_mistakes_name_the_file(save_stack, text, message):
    with pytest.raises(ValueError, match=rf"stack\.toml: .*{message}"):
        read_stack(_stack(save_stack, text))


def test_missing_listed_file(save_stack):
    with pytest.raises(
        FileNotFoundError, match=r"stack\.toml: files names s9\.png, which is not in the folder"
    ):
        read_stack(_stack(save_stack, 'files = ["s1.png", "s9.png"]'))


def test_a_slice_it_does_not_know(save_stack):
    text = 'files = ["s1.png", "s2.png"]\nfocus_m = [1, 2]'
    folder = _stack(save_stack, text)
    with pytest.raises(ValueError, match=r"gives no position for s3\.png"):
        read_stack([folder / "s3.png", folder / "s2.png", folder / "s1.png"])
