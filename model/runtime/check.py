"""The golden check: a runtime serves only after it has reproduced the golden rollouts of its artifact."""

import numpy as np
import numpy.typing as npt

from model.artifact import ArtifactError
from model.metadata import Golden
from model.runtime.base import Runtime


class GoldenMismatch(ArtifactError):
    """A runtime does not reproduce the rollouts that the artifact carries."""


def tolerance(steps: int) -> npt.NDArray[np.float64]:
    """How far value k of a rollout may be from the double-precision reference, as fractions of the scale, [S].

    1e-5 for the next value. Rounding errors of single precision (6e-8) then travel along the closed loop; on a stable
    oscillation they add up along its phase, so the bound grows in proportion to k.

    Two runtimes agree within the same bound up to 1,000 steps. Beyond, it is no promise: over 10,000 steps of the model
    that ships, one wave in sixty exceeded it by half, because its phase had drifted (0.15 of the scale).
    """
    return 1e-5 * np.arange(1, steps + 1, dtype=np.float64)


def check_golden(runtime: Runtime, golden: Golden) -> None:
    """Raise GoldenMismatch unless `runtime` reproduces every golden rollout within `tolerance`."""
    states = runtime.encode([case.sequence for case in golden.cases])
    for number, (case, state) in enumerate(zip(golden.cases, states, strict=True)):
        values_BS, _ = runtime.rollout([state], len(case.values))
        error_S = np.abs(values_BS[0] - case.values) / (state.scale or 1.0)
        if not np.all(error_S <= tolerance(len(case.values))):  # false for NaN too
            raise GoldenMismatch(
                f"the {runtime.name} runtime does not reproduce golden rollout {number}: off by up to "
                f"{np.max(error_S):.1e} of the scale. The artifact does not fit this code, or this machine computes "
                f"differently; `python -m training` makes a new one."
            )
