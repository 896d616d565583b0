"""Tests of the anchors: the batched form against the reference, and what each anchor forecasts exactly."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.anchors import ANCHORS, INPUTS, RIDGE, lags, steps_ahead
from model.anchors.batched import feed_back, observe
from model.anchors.reference import ReferenceAnchors
from model.anchors.state import layout, pack, start, unpack

Floats = npt.NDArray[np.float64]

SEASONS = [1, 2, 4, 7, 12, 24]
GROWTH = ANCHORS.index("season times growth")


def sequence(kind: str, season: int) -> Floats:
    """Return a sequence of this kind, [T], in its own units."""
    random = np.random.default_rng(season)
    if kind == "constant":
        return np.zeros(3 * season)
    if kind in {"mixed signs", "positive"}:
        return random.normal(size=5 * season + 30)
    length = {"one value": 1, "two values": 2, "shorter than a season": max(1, season - 1)}[kind]
    return random.normal(size=length)


KINDS = ["mixed signs", "positive", "constant", "one value", "two values", "shorter than a season"]


def begin(season: int, offset: float = 0.0, batch: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return start(torch.full([batch], offset, dtype=dtype), season)


def given_values(z_T: Floats, season: int, offset: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs [T, I] and forecasts [T, A] after each value of one sequence, and its state [1, K]."""
    length_B = torch.tensor([len(z_T)])
    input_BTI, forecast_BTA, state_BK = observe(torch.tensor(z_T)[None], length_B, begin(season, offset), season)
    return input_BTI[0], forecast_BTA[0], state_BK


@pytest.mark.parametrize("season", SEASONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_batched_form_equals_the_reference(season: int, kind: str) -> None:
    z_T = sequence(kind, season)
    offset = 0.3 - z_T.min() if kind == "positive" else 0.2
    reference = ReferenceAnchors(season, offset)
    expected_TI = np.array([reference.observe(z) for z in z_T])
    input_TI, forecast_TA, state_BK = given_values(z_T, season, offset)
    np.testing.assert_allclose(input_TI, expected_TI, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forecast_TA, np.array(reference.forecasts), rtol=0, atol=1e-10)

    def takes_the_same(z: float, *, fed_back: bool) -> None:
        nonlocal state_BK
        z_B = torch.tensor([z], dtype=torch.float64)
        if fed_back:
            expected_I = reference.feed_back(z)
            input_BI, forecast_BA, state_BK = feed_back(z_B, state_BK, season)
        else:
            expected_I = reference.observe(z)
            input_B1I, forecast_B1A, state_BK = observe(z_B[None], torch.tensor([1]), state_BK, season)
            input_BI, forecast_BA = input_B1I[:, 0], forecast_B1A[:, 0]
        np.testing.assert_allclose(input_BI[0], expected_I, rtol=0, atol=1e-10)
        np.testing.assert_allclose(forecast_BA[0], reference.forecasts[-1], rtol=0, atol=1e-10)

    for step in range(season + 8):
        takes_the_same(float(reference.forecasts[-1].mean()) - 0.1 * math.sin(step), fed_back=True)
    for step in range(4):  # a sequence may go on with values after a rollout
        takes_the_same(math.sin(step), fed_back=False)

    parts = unpack(state_BK, season)
    np.testing.assert_allclose(parts.error_B2A[0], [reference.error, reference.later_error], rtol=0, atol=1e-10)
    np.testing.assert_allclose(parts.weight_BP[0], reference.w, rtol=0, atol=1e-10)
    np.testing.assert_allclose(parts.inverse_BPP[0], reference.P, rtol=0, atol=1e-8)
    np.testing.assert_allclose(parts.pending_BkA[0], reference.later[-steps_ahead(season) :], rtol=0, atol=1e-10)
    V = parts.values_BV.size(1)
    assert parts.values_BV[0].tolist() == ([reference.z[0]] * V + reference.z)[-V:]
    assert (float(parts.observed_B), float(parts.rolled_out_B)) == (len(reference.z), 0)


@given(st.data(), st.sampled_from([1, 2, 3, 7]), st.lists(st.floats(-3, 3), min_size=2, max_size=30))
@settings(deadline=None, max_examples=25)
def test_values_can_be_given_in_parts(data: st.DataObject, season: int, values: list[float]) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    z_BT = torch.tensor([values], dtype=torch.float64)
    input_BTI, forecast_BTA, state_BK = observe(z_BT, torch.tensor([len(values)]), begin(season), season)
    first_BTI, first_BTA, middle_BK = observe(z_BT[:, :cut], torch.tensor([cut]), begin(season), season)
    second_BTI, second_BTA, end_BK = observe(z_BT[:, cut:], torch.tensor([len(values) - cut]), middle_BK, season)
    torch.testing.assert_close(torch.cat([first_BTI, second_BTI], dim=1), input_BTI, atol=1e-10, rtol=0)
    torch.testing.assert_close(torch.cat([first_BTA, second_BTA], dim=1), forecast_BTA, atol=1e-10, rtol=0)
    torch.testing.assert_close(end_BK, state_BK, atol=1e-10, rtol=0)


@pytest.mark.parametrize("season", [1, 5, 12])
def test_the_rows_of_a_batch_are_independent(season: int) -> None:
    """They differ in length, in what came before, and in where their zero is."""
    lengths, offset_B = [1, 17, 40], torch.tensor([0.5, 5.0, -2.0], dtype=torch.float64)
    before_B1, z_BT = torch.randn(3, 1, dtype=torch.float64), torch.randn(3, 40, dtype=torch.float64)
    fed_B = torch.tensor([0.3, -0.2, 0.0], dtype=torch.float64)
    state_BK = observe(before_B1, torch.tensor([1, 1, 1]), start(offset_B, season), season)[2]
    state_BK = torch.cat([state_BK[:2], start(offset_B[2:], season)])  # the last row begins
    input_BTI, forecast_BTA, after_BK = observe(z_BT, torch.tensor(lengths), state_BK, season)
    fed_BI, _, end_BK = feed_back(fed_B, after_BK, season)
    for row, length in enumerate(lengths):
        chosen = slice(row, row + 1)
        alone = observe(z_BT[chosen, :length], torch.tensor([length]), state_BK[chosen], season)
        torch.testing.assert_close(input_BTI[chosen, :length], alone[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(forecast_BTA[chosen, :length], alone[1], atol=1e-10, rtol=0)
        torch.testing.assert_close(after_BK[chosen], alone[2], atol=1e-10, rtol=0)
        fed_I, _, end_K = feed_back(fed_B[chosen], alone[2], season)
        torch.testing.assert_close(fed_BI[chosen], fed_I, atol=1e-10, rtol=0)
        torch.testing.assert_close(end_BK[chosen], end_K, atol=1e-10, rtol=0)


@pytest.mark.parametrize("season", SEASONS)
def test_only_growth_depends_on_where_the_zero_is(season: int) -> None:
    z_T = sequence("mixed signs", season)
    some_TA, other_TA = (given_values(z_T, season, offset)[1] for offset in (10.0, -10.0))
    changed_A = (some_TA != other_TA).any(dim=0)
    assert changed_A.nonzero().flatten().tolist() == [GROWTH]


def exact(name: str, values_T: Floats, season: int, offset: float = 0.0) -> None:
    """Assert that an anchor forecasts the last of the values from those before it."""
    _, forecast_TA, _ = given_values(values_T[:-1], season, offset)
    assert float(forecast_TA[-1, ANCHORS.index(name)]) == pytest.approx(values_T[-1], abs=1e-9)


TIME_T = np.arange(40.0)
PATTERN_T = np.resize([1.0, 3.0, -2.0, 0.5, 0.2], 40)


@pytest.mark.parametrize(
    ("name", "values_T", "season"),
    [
        ("last value", TIME_T * 0 + 1, 5),
        ("season", PATTERN_T, 5),
        ("second season", PATTERN_T, 5),
        ("season and change of level", PATTERN_T + TIME_T, 5),
        ("last value and seasonal change", PATTERN_T + TIME_T, 5),
        ("last value and seasonal change", TIME_T, 1),
        ("level", TIME_T * 0 + 1, 5),
        ("mean of both seasons", PATTERN_T, 5),
        ("season times growth", (PATTERN_T + 3) * 1.2 ** (TIME_T // 5), 5),
        ("slow smoothing", PATTERN_T, 5),
        ("medium smoothing", PATTERN_T, 5),
        ("fast smoothing", PATTERN_T, 5),
        ("seasonal smoothing", PATTERN_T, 5),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value) if isinstance(value, int) else "",
)
def test_an_anchor_continues_what_it_stands_for(name: str, values_T: Floats, season: int) -> None:
    exact(name, values_T[: 40 if name != "season times growth" else 36], season)


def test_growth_depends_on_all_values_so_far() -> None:
    """A single value below zero makes it the anchor of the season and the change of level."""
    values_T = (PATTERN_T + 3) * 1.2 ** (TIME_T // 5)
    for first, grows in ((0.1, True), (-0.1, False)):
        _, forecast_TA, _ = given_values(np.array([first, *values_T]), 5)
        assert bool(forecast_TA[-1, GROWTH] != forecast_TA[-1, 3]) == grows


@pytest.mark.parametrize("period", [8, 11.3, 20, 48])
def test_the_autoregression_continues_a_sine_with_a_level_after_64_values(period: float) -> None:
    z_T = 0.4 + np.sin(math.tau * np.arange(65) / period)
    _, forecast_TA, _ = given_values(z_T[:-1], 1)
    assert abs(float(forecast_TA[-1, ANCHORS.index("autoregression")]) - z_T[-1]) < 1e-3


@pytest.mark.parametrize("kind", ["constant", "sine"])
def test_the_least_squares_stay_bounded_without_an_end(kind: str) -> None:
    """Inputs that excite no direction would make P grow without end, and single precision would lose its signs."""
    z_BT = torch.zeros(1, 3000) if kind == "constant" else torch.sin(torch.arange(3000) / 3)[None]
    with torch.inference_mode():
        _, _, state_BK = observe(z_BT, torch.tensor([3000]), begin(1, dtype=torch.float32), 1)
    P_PP = unpack(state_BK, 1).inverse_BPP[0]
    assert torch.equal(P_PP, P_PP.T)
    assert float(torch.linalg.eigvalsh(P_PP).min()) > 0
    assert float(P_PP.trace()) < 1.01 * len(P_PP) / RIDGE


@pytest.mark.parametrize("season", [1, 4])
def test_gradients_flow_through_the_closed_loop(season: int) -> None:
    _, _, state_BK = given_values(np.random.default_rng(0).normal(size=20), season, 5.0)

    def rollout(z_S: Tensor) -> Tensor:
        outputs, after_BK = [], state_BK
        for z in z_S.unbind():
            input_BI, forecast_BA, after_BK = feed_back(z[None], after_BK, season)
            outputs += [input_BI, forecast_BA]
        output_BN = torch.cat(outputs, dim=1)
        return (output_BN * torch.linspace(-1, 1, output_BN.size(1))).sum()  # one number, because each costs a pass

    z_S = torch.tensor([0.3, -0.2, 0.1, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rollout, (z_S,))


@pytest.mark.parametrize("season", SEASONS)
def test_the_layout_covers_the_state_without_gaps(season: int) -> None:
    place, state_BK = layout(season), torch.randn(2, layout(season).size)
    assert begin(season).shape == (1, place.size)
    assert torch.equal(pack(unpack(state_BK, season)), state_BK)
    parts = unpack(state_BK, season)
    ends = [0, *(part.stop for part in place)]
    assert [part.start for part in place] == ends[:-1]
    assert torch.equal(state_BK[:, place.cell].flatten(), parts.cell_BEC.flatten())
    assert torch.equal(state_BK[:, place.offset], parts.offset_B[:, None])


@pytest.mark.parametrize(
    ("season", "expected"),
    [(1, [2, 3, 4, 5, 6, 7, 8]), (2, [2, 3, 4, 5, 6]), (4, [2, 3, 4, 5, 6, 8]), (12, [2, 3, 4, 5, 6, 11, 12, 13, 24])],
)
def test_the_lags_are_recent_and_seasonal(season: int, expected: list[int]) -> None:
    assert lags(season) == expected


def test_the_network_has_four_inputs_for_each_anchor_and_four_more() -> None:
    assert len(ANCHORS) == 13
    assert given_values(sequence("mixed signs", 7), 7)[0].shape[1] == INPUTS == 56
