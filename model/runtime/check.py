"""The golden check: a runtime serves only after it has reproduced the golden rollouts of its artifact."""

import numpy as np
import numpy.typing as npt

from model.artifact import ArtifactError
from model.metadata import Golden
from model.runtime.base import Runtime


class GoldenMismatch(ArtifactError):
    """A runtime does not reproduce the golden rollouts of an artifact."""


def tolerance(steps: int) -> npt.NDArray[np.float64]:
    """Return the tolerance of each value of a rollout, [S]: its largest distance from the reference, over the scale.

    The reference is computed in double precision. The next value is within 1e-5. Rounding errors of single precision
    (6e-8) then travel along the closed loop. On a stable oscillation they add up along its phase, so the tolerance of
    value k is 1e-5 times k.

    Two runtimes agree within the same tolerance up to 1,000 steps. Nothing is promised beyond: over 10,000 steps of the
    model that ships, one wave in sixty exceeded it by half, because its phase had drifted (0.15 of the scale).
    """
    return 1e-5 * np.arange(1, steps + 1, dtype=np.float64)


def check_golden(runtime: Runtime, golden: Golden) -> None:
    """Raise GoldenMismatch unless `runtime` reproduces every golden rollout within `tolerance`."""
    sequences = [case.sequence for case in golden.cases]
    states = runtime.encode(sequences, [runtime.start(case.sequence, case.season) for case in golden.cases])
    for number, (case, state) in enumerate(zip(golden.cases, states, strict=True)):
        values_BS, _ = runtime.rollout([state], len(case.values))
        rounding_S = np.spacing(np.abs(case.values))  # beside a large offset it exceeds the tolerance
        error_S = np.maximum(np.abs(values_BS[0] - case.values) - rounding_S, 0) / (state.scale or 1.0)
        if not np.all(error_S <= tolerance(len(case.values))):  # false for NaN too
            raise GoldenMismatch(
                f"the {runtime.name} runtime does not reproduce golden rollout {number}: off by up to "
                f"{np.max(error_S):.1e} of the scale. The artifact does not fit this code, or this machine computes "
                f"differently; `python -m training` makes a new one."
            )
