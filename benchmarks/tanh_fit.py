"""Computes the coefficients of the kernel's tanh and prints them with their errors.

tanh x is approximated by x P(x²) / Q(x²), both of degree 4 in x². The fit minimises the largest relative error on 0 < x
<= 9. Beyond that tanh is 1 in single precision. Sanathanan and Koerner's iteration makes the problem linear: it divides
each residual by the previous denominator. Lawson's weights grow where the error is large; with them, least squares
approach the minimax solution.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.report import Table, save

Array = npt.NDArray[np.float64]
LIMIT = 9.0
DEGREE = 4
DIGITS = 9


@dataclass(frozen=True)
class Fit:
    """The coefficients, lowest power of x² first; Q begins with 1."""

    P: Array
    Q: Array


def fit(rounds: int = 200, nodes: int = 4000) -> Fit:
    """Return the best of `rounds` iterations on Chebyshev's nodes."""
    x = LIMIT * (1 - np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)) / 2
    x = x[x > 1e-4]
    s = (x / LIMIT) ** 2  # scaled to 0 to 1, because powers of 81 would cost the coefficients digits
    f = np.tanh(x) / x
    powers = np.vander(s, DEGREE + 1, increasing=True)
    linear = np.concatenate([powers, -f[:, None] * powers[:, 1:]], axis=1)
    weight, below = np.ones_like(x), np.ones_like(x)
    least, best = np.inf, None
    for _ in range(rounds):
        scale = np.sqrt(weight) / (below * f)
        c = np.linalg.lstsq(linear * scale[:, None], f * scale, rcond=None)[0]
        P, Q = c[: DEGREE + 1], np.concatenate([[1.0], c[DEGREE + 1 :]])
        below = powers @ Q
        error = np.abs((powers @ P) / below / f - 1)
        if error.max() < least:
            least, best = error.max(), (P, Q)
        weight = weight * (error + 1e-3 * error.max())
        weight /= weight.mean()
    if best is None:
        raise ArithmeticError("no iteration gave a finite error")
    unscale = LIMIT ** (-2.0 * np.arange(DEGREE + 1))
    return Fit(best[0] * unscale, best[1] * unscale)


def errors(found: Fit, precision: type[np.floating]) -> tuple[float, float]:
    """Return the largest absolute and relative error over 0 < x <= 9, computed in `precision` as the kernel does."""
    x = np.linspace(0, LIMIT, 1_000_001)[1:].astype(precision)
    s = x * x

    def horner(coefficients: Array) -> npt.NDArray[np.floating]:
        value = np.full_like(x, coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = value * s + precision(coefficient)
        return value

    y = (x * horner(found.P) / horner(found.Q)).astype(np.float64)
    true = np.tanh(x.astype(np.float64))
    return float(np.abs(y - true).max()), float(np.abs(y / true - 1).max())


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.tanh_fit", description=__doc__).parse_args()
    found = fit()
    rounded = [[f"{c:.{DIGITS}g}" for c in row] for row in (found.P, found.Q)]
    coefficients = Table(
        ["power of x²", "P", "Q"], [[str(k), p, q] for k, (p, q) in enumerate(zip(*rounded, strict=True))]
    )
    precisions: list[tuple[str, type[np.floating]]] = [("double", np.float64), ("single", np.float32)]
    rows = [[name, *(f"{error:.2e}" for error in errors(found, kind))] for name, kind in precisions]
    error_table = Table(["precision", "absolute error", "relative error"], rows)
    save("tanh_fit", {"coefficients": coefficients, "errors": error_table}, {"P": list(found.P), "Q": list(found.Q)})


if __name__ == "__main__":
    main()
