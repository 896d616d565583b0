"""The members of a batch, in PyTorch and TorchScript. The state of a sequence is one flat vector, [K].

    last M values of u | cells [E, 2 + inner + season + P] | ū | values given | all values | positive | o

A cell has l, b, R, S and its last errors, the newest first. R and S stay in place: the number of all values tells where
the next one is. `positive` is 1 while all z + o are more than 0, and 0 after that.

Shape suffixes: B batch, T time, S steps, M values, E cells, C numbers of a cell, P errors, K the whole state.
"""

import torch
from torch import Tensor, nn

from model.members import FEWEST, LARGEST, LARGEST_EXPONENT, MOST_SEASONS
from model.members.reference import MemberWeights
from model.metadata import MemberSizes


class Members(nn.Module):
    """An autoregression and smoothing cells, whose forecast is a mean with fixed shares.

    The buffers are those of `MemberWeights`, all in double precision.
    """

    filter_M: Tensor
    mean_weight: Tensor
    filter_share: Tensor
    rate_E5: Tensor
    theta_EP: Tensor
    share_E: Tensor
    weight: Tensor

    def __init__(self, sizes: MemberSizes) -> None:
        """Build members with weights of zero."""
        super().__init__()
        self.sizes = sizes
        self.values, self.cells, self.errors = sizes.values, sizes.cells, sizes.errors
        self.inner, self.season, self.logarithm = sizes.inner, sizes.season, sizes.logarithm
        self.state = sizes.state
        self.fewest, self.most_seasons = FEWEST, MOST_SEASONS
        self.largest, self.largest_exponent = LARGEST, LARGEST_EXPONENT
        shapes = {
            "filter_M": (sizes.values,),
            "mean_weight": (),
            "filter_share": (),
            "rate_E5": (sizes.cells, 5),
            "theta_EP": (sizes.cells, sizes.errors),
            "share_E": (sizes.cells,),
            "weight": (),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    @torch.jit.unused
    def set_weights(self, weights: MemberWeights) -> None:
        """Take these weights."""
        for name, buffer in self.named_buffers():
            buffer.copy_(torch.as_tensor(getattr(weights, name), dtype=torch.float64))

    @torch.jit.unused
    def weights(self) -> MemberWeights:
        """Return the weights in double precision."""
        return MemberWeights(
            sizes=self.sizes,
            filter_M=self.filter_M.cpu().numpy(),
            mean_weight=float(self.mean_weight),
            filter_share=float(self.filter_share),
            rate_E5=self.rate_E5.cpu().numpy(),
            theta_EP=self.theta_EP.cpu().numpy(),
            share_E=self.share_E.cpu().numpy(),
            weight=float(self.weight),
        )

    def start(self, offset_B: Tensor) -> Tensor:
        """Return the states before the first value, [B, K]."""
        state_BK = offset_B.new_zeros(offset_B.size(0), self.state)
        state_BK[:, -2] = 1
        state_BK[:, -1] = offset_B
        return state_BK

    def observe(self, z_BT: Tensor, length_B: Tensor, state_BK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the values given, padded on the right.

        Returns:
            The forecast of each value from those before it [B, T], whether there is one [B, T], and the states after
            the last value.
        """
        forecasts: list[Tensor] = []
        ready: list[Tensor] = []
        for t in range(z_BT.size(1)):
            forecast_B, ready_B = self.forecast(state_BK)
            forecasts.append(forecast_B)
            ready.append(ready_B)
            taken_BK = self.take(z_BT[:, t], state_BK, True)
            state_BK = torch.where((t < length_B).unsqueeze(1), taken_BK, state_BK)
        return torch.stack(forecasts, dim=1), torch.stack(ready, dim=1), state_BK

    def rollout(self, beside_BS: Tensor, state_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the forecast of the model [B, S] and the states after it. `beside_BS` is the anchored network's."""
        values: list[Tensor] = []
        for beside_B in beside_BS.unbind(1):
            forecast_B, ready_B = self.forecast(state_BK)
            own_B = torch.where(ready_B, forecast_B, beside_B)
            values.append(beside_B + self.weight * (own_B - beside_B))
            state_BK = self.take(own_B, state_BK, False)
        return torch.stack(values, dim=1), state_BK

    def forecast(self, state_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Return the forecast of the next value [B] in units of the sequences, and whether there is one [B]."""
        count_B, positive_B, offset_B = state_BK[:, -3], state_BK[:, -2], state_BK[:, -1]
        u_B = self.filter_share * (state_BK[:, : self.values] @ self.filter_M + self.mean_weight * state_BK[:, -5])
        cell_BEC = self._cells(state_BK)
        u_BE = self._smoothed(cell_BEC, count_B) + (cell_BEC[:, :, 2 + self.inner + self.season :] * self.theta_EP).sum(
            2
        )
        u_B = u_B + u_BE @ self.share_E
        ready_B = count_B >= self.values
        if self.logarithm:
            u_B = torch.exp(u_B.clamp(max=self.largest_exponent)) - offset_B
            ready_B = ready_B & (positive_B > 0)
        return u_B.clamp(-self.largest, self.largest), ready_B

    def take(self, z_B: Tensor, state_BK: Tensor, given: bool) -> Tensor:
        """Return the states after a value, or after a forecast in its place."""
        mean_B, observed_B, count_B, positive_B, offset_B = state_BK[:, -5:].unbind(1)
        u_B = z_B
        if self.logarithm:
            above_B = z_B + offset_B > 0
            positive_B = torch.where(above_B, positive_B, 0.0)
            u_B = torch.where(above_B, torch.log(torch.where(above_B, z_B + offset_B, 1.0)), 0.0)
        if given:
            observed_B = observed_B + 1
            mean_B = mean_B + (u_B - mean_B) / observed_B
        values_BM = torch.cat([state_BK[:, 1 : self.values], u_B.unsqueeze(1)], dim=1)
        cell_BEC = self._updated(u_B, self._cells(state_BK), count_B)
        begins_B = count_B == self.values - 1
        if bool(begins_B.any()):
            cell_BEC = torch.where(begins_B[:, None, None], self._begun(values_BM), cell_BEC)
        cell_BEC = torch.where((count_B >= self.values - 1)[:, None, None], cell_BEC, 0.0)
        counts_B5 = torch.stack([mean_B, observed_B, count_B + 1, positive_B, offset_B], dim=1)
        return torch.cat([values_BM, cell_BEC.flatten(1), counts_B5], dim=1)

    def _cells(self, state_BK: Tensor) -> Tensor:
        return state_BK[:, self.values : -5].view(
            state_BK.size(0), self.cells, 2 + self.inner + self.season + self.errors
        )

    def _places(self, count_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indices of R and S of the next value in a cell, [B, E, 1] each."""
        count_BE1 = count_B.long()[:, None, None].expand(-1, self.cells, 1)
        return 2 + count_BE1 % self.inner, 2 + self.inner + count_BE1 % self.season

    def _smoothed(self, cell_BEC: Tensor, count_B: Tensor) -> Tensor:
        """Return l + phi b + R + S of the next value, [B, E]."""
        inner_BE1, outer_BE1 = self._places(count_B)
        seasons_BE = (cell_BEC.gather(2, inner_BE1) + cell_BEC.gather(2, outer_BE1)).squeeze(2)
        return cell_BEC[:, :, 0] + self.rate_E5[:, 2] * cell_BEC[:, :, 1] + seasons_BE

    def _updated(self, u_B: Tensor, cell_BEC: Tensor, count_B: Tensor) -> Tensor:
        """Return the cells after a value."""
        e_BE = u_B.unsqueeze(1) - self._smoothed(cell_BEC, count_B)
        alpha_E, beta_E, phi_E, gamma_E, delta_E = self.rate_E5.unbind(1)
        trend_BE = phi_E * cell_BEC[:, :, 1]
        inner_BE1, outer_BE1 = self._places(count_B)
        moved_BEC = cell_BEC.scatter_add(2, inner_BE1, (gamma_E * e_BE).unsqueeze(2))
        moved_BEC = moved_BEC.scatter_add(2, outer_BE1, (delta_E * e_BE).unsqueeze(2))
        head_BE2 = torch.stack([cell_BEC[:, :, 0] + trend_BE + alpha_E * e_BE, trend_BE + beta_E * e_BE], dim=2)
        end = moved_BEC.size(2) - self.errors
        errors_BEP = torch.cat([e_BE.unsqueeze(2), cell_BEC[:, :, end:]], dim=2)[:, :, : self.errors]
        return torch.cat([head_BE2, moved_BEC[:, :, 2:end], errors_BEP], dim=2)

    def _begun(self, values_BM: Tensor) -> Tensor:
        """Return the cells after the first M values, [B, E, C]."""
        B, M = values_BM.size()
        m = self.season if self.season > 1 else min(self.fewest, M)
        seasons = min(M // m, self.most_seasons)
        first_BK = values_BM[:, : seasons * m]
        block_BK = first_BK.view(B, seasons, m).mean(2)
        l_BE = block_BK[:, :1].expand(-1, self.cells)
        b_BE = torch.zeros_like(l_BE)
        if seasons > 1:
            change_B1 = (block_BK[:, 1] - block_BK[:, 0]).unsqueeze(1) / m
            b_BE = torch.where(self.rate_E5[:, 1] > 0, change_B1, 0.0)
        inner_BR = self._profile(first_BK, self.inner)
        repeats = (seasons * m + self.inner - 1) // self.inner
        left_BK = first_BK - inner_BR.repeat(1, repeats)[:, : seasons * m]
        outer_BS = self._profile(left_BK, self.season, first_BK)
        profiles_BC = torch.cat([inner_BR, outer_BS, values_BM.new_zeros(B, self.errors)], dim=1)
        profiles_BEC = profiles_BC.unsqueeze(1).expand(-1, self.cells, -1)
        cell_BEC = torch.cat([l_BE.unsqueeze(2), b_BE.unsqueeze(2), profiles_BEC], dim=2)
        for t in range(M):
            cell_BEC = self._updated(values_BM[:, t], cell_BEC, torch.full_like(values_BM[:, 0], t))
        return cell_BEC

    def _profile(self, left_BK: Tensor, season: int, centred_BK: Tensor | None = None) -> Tensor:
        """Return the mean over whole seasons of values less the mean of their season, [B, season].

        The means of the seasons are those of `centred_BK`, if it is given.
        """
        whole = left_BK.size(1) // season * season
        left_BNs = left_BK[:, :whole].view(left_BK.size(0), -1, season)
        of_BK = left_BK if centred_BK is None else centred_BK
        mean_BN1 = of_BK[:, :whole].view(left_BK.size(0), -1, season).mean(2, keepdim=True)
        return (left_BNs - mean_BN1).mean(1)
