"""Step estimator, discriminator and global estimator: sizes, equality, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from dff.model.step import (
    DiscriminatorConfig,
    FocusDiscriminator,
    StepConfig,
    StepEstimator,
    in_blocks,
    parameters,
)
from dff.model.step_global import GlobalStepEstimator

SMALL = StepConfig(channels=(2, 3, 3), hidden=(12, 6, 5))


def network(config: StepConfig = SMALL) -> StepEstimator:
    torch.manual_seed(1)
    return StepEstimator(config).eval()


def test_the_networks_have_the_sizes_of_the_paper() -> None:
    assert parameters(StepEstimator(StepConfig())) == 663_849
    assert parameters(FocusDiscriminator(DiscriminatorConfig())) == 791


def test_blocks_are_the_convolution_they_stand_for() -> None:
    convolution = torch.nn.Conv2d(1, 3, 8, 8)
    picture = torch.rand(2, 1, 32, 24)
    torch.testing.assert_close(in_blocks(picture, convolution), convolution(picture))


def test_distances_are_positive_and_a_share_of_all_positions() -> None:
    net = network()
    with torch.inference_mode():
        told = net(torch.rand(2, 1, 512, 512))
    assert told.shape == (2,)
    assert bool((told >= 0).all())
    torch.testing.assert_close(net.distance(torch.tensor([-0.5])), torch.tensor([525.0]))


@pytest.mark.parametrize("stride", [1, 3, 8, 12, 20, 32])
def test_the_global_estimator_is_the_patch_network_at_every_window(stride: int) -> None:
    """Dense, strided, and strides that no layer's step divides; and in bands of rows."""
    net = network()
    picture = torch.rand(
        1, 1, 512 + 2 * stride, 512 + 3 * stride + 1, generator=torch.Generator().manual_seed(2)
    )
    whole = GlobalStepEstimator(net, stride)
    with torch.inference_mode():
        found = whole(picture)
        assert tuple(found.shape) == (1, *whole.windows(*picture.shape[-2:]))
        for i, j in ((0, 0), (1, 2), (2, 3)):
            window = picture[..., i * stride : i * stride + 512, j * stride : j * stride + 512]
            assert float((net(window.contiguous()) - found[:, i, j]).abs()) / 1050 < 1e-5


def test_bands_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = torch.rand(1, 1, 576, 544)
    whole = GlobalStepEstimator(network(), 16)
    with torch.inference_mode():
        at_once = whole(picture)
        monkeypatch.setattr("dff.model.step_global._BAND_VALUES", 1)
        torch.testing.assert_close(whole(picture), at_once)


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="512,512"):
        network()(torch.rand(1, 1, 256, 256))
    with pytest.raises(ValueError, match="needs 512x512 px or more"):
        GlobalStepEstimator(network())(torch.rand(1, 1, 400, 600))
    with pytest.raises(ValueError, match="grey"):
        GlobalStepEstimator(network())(torch.rand(1, 3, 600, 600))
    with pytest.raises(ValueError, match="stride 0"):
        GlobalStepEstimator(network(), 0)
    with pytest.raises(ValueError, match="hidden"):
        StepConfig(hidden=())
    with pytest.raises(ValueError, match="dropout"):
        DiscriminatorConfig(dropout=1.0)


def test_dropped_values_are_those_that_the_caller_drew() -> None:
    torch.manual_seed(0)
    net = FocusDiscriminator(DiscriminatorConfig())
    patches = torch.rand(1, 1, 512, 512)
    with torch.inference_mode():
        none, all_kept = net(patches), net(patches, torch.ones(1, 10))
        nothing = net(patches, torch.zeros(1, 10))
    torch.testing.assert_close(nothing, net.last.bias)
    # what is kept counts twice as much while half is dropped
    torch.testing.assert_close(all_kept - net.last.bias, 2 * (none - net.last.bias))
