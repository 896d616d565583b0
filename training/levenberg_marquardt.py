"""Nonlinear least squares: the Levenberg-Marquardt method with geodesic acceleration.

Minimises |r(θ)|² with J = ∂r/∂θ. A step is v with (JᵀJ + λI) v = -Jᵀr: Gauss-Newton's where the damping λ is small,
and a short one down the gradient where it is large. λ falls after each step that lowers the loss and rises until there
is one. The acceleration corrects v for how the residuals bend along it, by their second derivative in that direction,
which costs one more evaluation of r:

    (JᵀJ + λI) a = -Jᵀ r_vv        θ' = θ + v + a/2

Networks trained on few smooth curves have losses with long, narrow, bent valleys, some directions of which matter a
billion times less than others. Descent by gradients, with however much momentum or history, crawls there; the
acceleration is what lets long steps stay on the valley's floor.

References: Nocedal and Wright, *Numerical Optimization*, 2006, section 10.3. Transtrum and Sethna, "Improvements to the
Levenberg-Marquardt algorithm for nonlinear least-squares minimization", arXiv:1201.5885, 2012: equations 8 and 15 for
the acceleration and its limit, section 4.2 for how λ falls faster than it rises.

Shape suffixes: N residuals, P parameters.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Residuals = Callable[[Tensor], Tensor]
"""From θ [P] to r [N]."""
Jacobian = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From θ [P] to r [N] and J [N, P]."""

FALL, RISE = 1 / 4, 2.0  # of λ, after a step that is taken and one that is not
LEAST_DAMPING = 1e-15
TRIES = 40  # of λ, before a place counts as a minimum
PROBE = 0.1  # the part of v over which the second derivative is taken as a difference
LONGEST_ACCELERATION = 0.75  # 2|a|/|v|; the expansion in v has no meaning where its second term is not the smaller


def levenberg_marquardt(
    residuals: Residuals, jacobian: Jacobian, theta_P: Tensor, damping: float
) -> Iterator[tuple[Tensor, float]]:
    """θ and the loss |r|² after each step; each loss is lower than the one before.

    It ends where no step is found that lowers the loss, and otherwise never: whoever iterates decides when to stop.

    Args:
        theta_P: where to start, in double precision.
        damping: λ of the first step.
    """
    while True:
        r_N, J_NP = jacobian(theta_P)
        loss = float(r_N.square().sum())
        JJ_PP, Jr_P = J_NP.T @ J_NP, J_NP.T @ r_N
        for _ in range(TRIES):
            step_P = _step(residuals, theta_P, r_N, J_NP, Jr_P, JJ_PP + damping * torch.eye(len(Jr_P), dtype=r_N.dtype))
            lower = float(residuals(theta_P + step_P).square().sum()) if step_P is not None else math.inf
            if step_P is not None and lower < loss:  # not where it is NaN
                break
            damping *= RISE
        else:
            return
        theta_P = theta_P + step_P
        damping = max(damping * FALL, LEAST_DAMPING)
        yield theta_P, lower


def _step(
    residuals: Residuals, theta_P: Tensor, r_N: Tensor, J_NP: Tensor, Jr_P: Tensor, damped_PP: Tensor
) -> Tensor | None:
    """v + a/2, or None where the damping is too small for a step that can be trusted."""
    factor_PP, failed = torch.linalg.cholesky_ex(damped_PP)
    if failed:
        return None
    v_P = -_solve(factor_PP, Jr_P)
    r_vv_N = 2 / PROBE * ((residuals(theta_P + PROBE * v_P) - r_N) / PROBE - J_NP @ v_P)
    a_P = -_solve(factor_PP, J_NP.T @ r_vv_N)
    if not 2 * a_P.norm() <= LONGEST_ACCELERATION * v_P.norm():
        return None
    return v_P + a_P / 2


def _solve(factor_PP: Tensor, b_P: Tensor) -> Tensor:
    return torch.cholesky_solve(b_P.unsqueeze(1), factor_PP).squeeze(1)
