"""Tests of the compiled anchors of training: they are the batched form of `model/anchors`."""

import numpy as np
import pytest
import torch

from model.anchors.batched import feed_back
from model.anchors.batched import observe as observe_in_torch
from model.anchors.state import layout, start
from training.observed import observe

ROWS = 5


@pytest.mark.parametrize("season", [1, 2, 4, 7, 12, 24, 52])
@pytest.mark.parametrize("length", [1, 2, 9, 40, 150])
def test_the_compiled_anchors_equal_the_batched_form(season: int, length: int) -> None:
    random = np.random.default_rng((season, length))
    z_BT = torch.from_numpy(random.uniform(-1, 1, (ROWS, length)))
    offset_B = torch.from_numpy(random.uniform(-2, 2, ROWS))
    expected = observe_in_torch(z_BT, torch.full([ROWS], length), start(offset_B, season), season)
    observed = observe(z_BT, offset_B, season)
    if length < season:  # smoothing cells begin with the end of the first season; what they hold before means nothing
        for state_BK in (observed[2], expected[2]):
            state_BK[:, layout(season).cell] = 0
    for got, wanted in zip(observed, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)


def test_a_closed_loop_goes_on_from_the_compiled_anchors() -> None:
    z_BT = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (ROWS, 31)))
    offset_B, z_B = torch.zeros(ROWS, dtype=torch.float64), z_BT[:, 0]
    *_, state_BK = observe(z_BT, offset_B, 7)
    *_, expected_BK = observe_in_torch(z_BT, torch.full([ROWS], 31), start(offset_B, 7), 7)
    for got, wanted in zip(feed_back(z_B, state_BK, 7), feed_back(z_B, expected_BK, 7), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)


def test_a_transposed_batch_is_taken_as_it_is() -> None:
    z_BT = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (20, ROWS))).T
    offset_B = torch.zeros(ROWS)
    for got, wanted in zip(observe(z_BT, offset_B, 4), observe(z_BT.contiguous(), offset_B, 4), strict=True):
        assert torch.equal(got, wanted)
