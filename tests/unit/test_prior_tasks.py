"""Tests of how an anchored network learns from tasks of the synthetic prior, and of its errors on them."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from model.anchored import AnchoredNetwork
from model.metadata import Architecture
from training import anchored
from training.anchored import forecast
from training.prior.source import Batch, Prior, unseen
from training.relative import relative_baselines, relative_errors


@pytest.fixture
def network() -> Iterator[AnchoredNetwork]:
    """Return a network with random weights, also in the readout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AnchoredNetwork(Architecture(inputs="anchors", cell="gru", hidden=5))
        torch.nn.init.normal_(made.readout.weight, 0, 0.2)
        yield made


def some_batch(context: int = 40, season: int = 12, steps: int = 8) -> Batch:
    windows = Prior(season).held_out(context, steps, 6)
    return Batch(*windows.all(), season)


@pytest.mark.parametrize("season", [1, 7, 12])
def test_the_forecasts_of_training_are_those_that_are_served(network: AnchoredNetwork, season: int) -> None:
    batch = some_batch(context=300, season=season)
    with torch.no_grad():
        expected_BS = network.generate(batch.x_BT, 8, season)
    torch.testing.assert_close(forecast(network, batch.x_BT, 8, season), expected_BS, atol=2e-3, rtol=0)


@pytest.mark.parametrize("context", [3, 4, 5, 13, 14, 15, 40, 300])
def test_both_losses_are_finite_and_have_gradients_for_any_number_of_values(
    network: AnchoredNetwork, context: int
) -> None:
    one_step, closed_loop = anchored.losses(network, some_batch(context))
    (one_step + closed_loop).backward()  # type: ignore[no-untyped-call]
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_constant_series_have_finite_losses_and_go_on_as_the_constant(network: AnchoredNetwork) -> None:
    five_BT = torch.full((3, 30), 5.0, dtype=torch.float64)
    losses = anchored.losses(network, Batch(five_BT, five_BT[:, :6], 7))
    assert torch.equal(forecast(network, five_BT, 6, 7), five_BT[:, :6])
    assert all(math.isfinite(float(loss.detach())) for loss in losses)


def test_the_losses_do_not_depend_on_the_scale_of_a_series(network: AnchoredNetwork) -> None:
    batch = some_batch()
    scaled = dataclasses.replace(batch, x_BT=1e6 * batch.x_BT, y_BS=1e6 * batch.y_BS)
    for loss, again in zip(anchored.losses(network, batch), anchored.losses(network, scaled), strict=True):
        torch.testing.assert_close(loss, again, rtol=1e-4, atol=0)


def test_without_a_closed_loop_its_loss_is_zero_and_the_other_stays(network: AnchoredNetwork) -> None:
    batch = some_batch()
    one_step, closed_loop = anchored.losses(network, batch, closed_loop=False)
    assert closed_loop == 0
    assert one_step == anchored.losses(network, batch)[0]


def test_a_predictor_that_knows_the_truth_is_far_better_than_seasonal_naive() -> None:
    batches = list(Prior().batches(3, 5, unseen(1)))
    truth = {len(batch.x_BT[0]): batch.y_BS for batch in batches}
    errors = relative_errors(lambda x_BT, steps, season: truth[x_BT.size(1)], batches)
    assert max(errors.values()) < 0.3
    assert relative_errors(relative_baselines()["seasonal_naive"], batches) == pytest.approx(
        {"next_value_mae": 1, "rollout_mae": 1}
    )


def test_the_same_seed_gives_the_same_tasks_and_held_out_ones_are_others() -> None:
    def first(seed: np.random.SeedSequence | tuple[int, ...]) -> torch.Tensor:
        [batch] = Prior().batches(1, 2, seed, context=(30, 30))
        return batch.x_BT

    assert torch.equal(first((0, 1)), first((0, 1)))
    seeds = [(0, 1), (0, 2), (1, 1), (0,), unseen(1), unseen(2)]
    draws = [first(seed) for seed in seeds]  # type: ignore[arg-type]
    for number, one in enumerate(draws):
        assert not any(torch.equal(one, other) for other in draws[:number])


def test_contexts_and_horizons_stay_within_the_settings() -> None:
    sizes = [(b.x_BT.size(1), b.y_BS.size(1)) for b in Prior().batches(30, 1, (0,), context=(20, 50), horizon=10)]
    assert all(20 <= given <= 50 and 4 <= steps <= 10 for given, steps in sizes)
