"""Nonlinear least squares: the Levenberg-Marquardt method with geodesic acceleration.

The method minimises |r(θ)|² with J = ∂r/∂θ. A step is v with (JᵀJ + λI) v = -Jᵀr. With a small damping λ it is
Gauss-Newton's step; with a large λ it is a short step down the gradient. λ rises until a step lowers the loss, and
otherwise follows the bend of the path, 2|a|/|v| below. The acceleration a corrects v for the curvature of the
residuals along v. It needs their second derivative r_vv in that direction, which costs one more evaluation of r:

    (JᵀJ + λI) a = -Jᵀ r_vv        θ' = θ + v + a/2

Networks trained on few smooth curves have losses with long, narrow, bent valleys. Some directions in them matter a
billion times less than others. Gradient descent, with any momentum or history, makes little progress there. The
acceleration lets long steps stay on the valley's floor.

References: Nocedal and Wright, *Numerical Optimization*, 2006, section 10.3. Transtrum and Sethna, "Improvements to the
Levenberg-Marquardt algorithm for nonlinear least-squares minimization", arXiv:1201.5885, 2012: the acceleration
and the limit of 2|a|/|v|.

Shape suffixes: N residuals, P parameters.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Residuals = Callable[[Tensor], Tensor]
"""A function from θ [P] to r [N]."""
Jacobian = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function from θ [P] to r [N] and J [N, P]."""

WANTED_BEND = 0.4  # the damping aims at this ratio 2|a|/|v|
LARGEST_BEND = 0.75  # above it the second term of the expansion in v is too large to neglect the third
FALL, RISE = (1 / 20, 1.0), (2.0, 10.0)  # smallest and largest factor for λ after an accepted and a rejected step
TRIES = 40  # values of λ that are tried before a point counts as a minimum
PROBE = 0.1  # fraction of v over which a finite difference gives the second derivative


def levenberg_marquardt(
    residuals: Residuals, jacobian: Jacobian, theta_P: Tensor, damping: float
) -> Iterator[tuple[Tensor, float, float]]:
    """Yield θ, the loss |r|² and the next step's λ after each step. Each loss is lower than the one before.

    The iterator ends only if no step lowers the loss. The caller decides when to stop.

    Args:
        residuals: the residuals to minimise.
        jacobian: the residuals and their Jacobian.
        theta_P: the starting point, in double precision.
        damping: λ of the first step.
    """
    while True:
        r_N, J_NP = jacobian(theta_P)
        loss = float(r_N.square().sum())
        JJ_PP, Jr_P = _gram(J_NP), J_NP.T @ r_N
        fall = FALL
        for _ in range(TRIES):
            damped_PP = JJ_PP.clone()
            damped_PP.diagonal().add_(damping)
            step_P, bend = _step(residuals, theta_P, r_N, J_NP, Jr_P, damped_PP)
            if bend <= LARGEST_BEND:
                lower = float(residuals(theta_P + step_P).square().sum())
                if lower < loss:  # False for NaN
                    break
            damping *= _within(RISE, (bend / WANTED_BEND) ** 2)
            fall = (1.0, 1.0)  # keep a damping that has just risen
        else:
            return
        damping *= _within(fall, (bend / WANTED_BEND) ** 2)
        theta_P = theta_P + step_P
        yield theta_P, lower, damping


def _step(
    residuals: Residuals, theta_P: Tensor, r_N: Tensor, J_NP: Tensor, Jr_P: Tensor, damped_PP: Tensor
) -> tuple[Tensor, float]:
    """Return v + a/2 and the bend of the path, 2|a|/|v|. The bend is infinite if no step can be computed."""
    factor_PP, failed = torch.linalg.cholesky_ex(damped_PP)
    if failed:
        return torch.zeros_like(theta_P), math.inf
    v_P = -_solve(factor_PP, Jr_P)
    r_vv_N = 2 / PROBE * ((residuals(theta_P + PROBE * v_P) - r_N) / PROBE - J_NP @ v_P)
    a_P = -_solve(factor_PP, J_NP.T @ r_vv_N)
    bend = float(2 * a_P.norm() / v_P.norm())
    return v_P + a_P / 2, bend if math.isfinite(bend) else math.inf


def _solve(factor_PP: Tensor, b_P: Tensor) -> Tensor:
    return torch.cholesky_solve(b_P.unsqueeze(1), factor_PP).squeeze(1)


def _gram(J_NP: Tensor) -> Tensor:
    """Return JᵀJ. It is symmetric, so blocks below the diagonal are copied from above it."""
    J_PN = J_NP.T
    JJ_PP = J_NP.new_empty(len(J_PN), len(J_PN))
    for rows in torch.split(torch.arange(len(J_PN)), math.ceil(len(J_PN) / 4)):
        first, after = int(rows[0]), int(rows[-1]) + 1
        block_PP = J_PN[first:after] @ J_NP[:, first:]
        JJ_PP[first:after, first:], JJ_PP[first:, first:after] = block_PP, block_PP.T
    return JJ_PP


def _within(limits: tuple[float, float], value: float) -> float:
    return min(max(value, limits[0]), limits[1])
