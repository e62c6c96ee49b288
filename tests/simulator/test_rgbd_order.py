import torch

from dff.simulator.rgbd_order import Jumps, layer_numbers, surface_order

MIN_JUMP = torch.tensor(0.04)
SIZE = 64


def numbers(relative, n_layers=8):
    jumps = Jumps.of(relative, MIN_JUMP)
    return layer_numbers(surface_order(jumps), jumps, n_layers)


def floor(size=SIZE):
    """A floor that runs from the horizon to the camera, (H,W) in shares of the range."""
    return torch.linspace(0, 1, size)[:, None].expand(size, size).clone()


def standing():
    """Two slabs that stand on the floor: at their feet they touch it, above they hide it."""
    depth = floor()
    depth[12:33, 10:22] = depth[32, 0]
    depth[20:55, 40:52] = depth[54, 0]
    return depth


def test_a_slope_from_far_to_near_is_one_surface():
    across = floor().T
    curved = torch.sin(floor() * 2) * across
    assert numbers(torch.stack([floor(), across, curved])).max() == 0


def test_over_every_jump_the_nearer_side_has_the_higher_number():
    depth = torch.zeros(SIZE, SIZE)
    for step, inset in enumerate((4, 12, 20, 26), start=1):
        depth[inset:-inset, inset:-inset] = step / 4
    number = numbers(depth[None])[0]
    assert number.unique().tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(number.float(), depth * 4)


def test_a_floor_stays_whole_under_what_stands_on_it():
    depth = standing()
    number = numbers(depth[None])[0]
    slabs = depth != floor()
    assert (number[~slabs] == 0).float().mean() > 0.97
    assert (number[slabs] > 0).float().mean() > 0.9


def test_a_wire_has_a_number_of_its_own():
    depth = floor() * 0.3
    depth[:, 30] = 1.0
    number = numbers(depth[None])[0]
    assert (number[:, 30] == 1).all()
    assert number.sum() == SIZE


def test_no_more_layers_than_asked_for():
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 8, 8, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert numbers(blocks, 1).max() == 0
    assert numbers(blocks, 3).max() == 2
    assert numbers(blocks, 16).max() > 2


def test_a_batch_is_numbered_like_its_members():
    batch = torch.stack([standing(), floor(), standing().flip(1) * 0.8])
    assert torch.equal(numbers(batch), torch.cat([numbers(one[None]) for one in batch]))


def test_across_sees_over_jumps_only():
    depth = torch.zeros(1, 4, 6)
    depth[..., 3:] = 1
    jumps = Jumps.of(depth, MIN_JUMP)
    seen = jumps.across(depth > 0)[0]
    assert seen.nonzero()[:, 1].unique().tolist() == [2]
