"""Means and their confidence: Student's t, Wilson's score, pass@k."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_LEVEL = 0.95
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `n` values and the half width of its 95 % confidence interval.

    The half width is None for fewer than two values.
    """

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share of `n` problems with its 95 % confidence interval."""

    share: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Return the mean of values and its confidence by Student's t, if any."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Estimate(mean, t_quantile(n - 1) * math.sqrt(variance / n), n)


def t_quantile(freedom: int, level: float = _LEVEL) -> float:
    """Return the bound within which Student's t lies with a probability of `level`."""
    low, high = 0.0, 1.0
    while t_within(high, freedom) < level:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if t_within(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_within(bound: float, freedom: int) -> float:
    """Return the probability that Student's t lies between -bound and bound.

    Uses the finite sums for whole degrees of freedom: Abramowitz and Stegun, Handbook of
    Mathematical Functions, 26.7.3-4.
    """
    angle = math.atan(bound / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for step in range(2 + odd, freedom, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def pass_at(k: int, samples: int, passed: int) -> float:
    """Return the unbiased probability that at least one of k samples passes.

    Chen et al., Evaluating Large Language Models Trained on Code, 2021: 1 - C(n - c, k) / C(n, k).
    """
    if not 0 < k <= samples:
        raise ValueError(f"k is between 1 and the number of samples, {samples}, not {k}")
    return 1 - math.comb(samples - passed, k) / math.comb(samples, k)


def proportion(values: Sequence[float]) -> Proportion | None:
    """Return the mean of values between 0 and 1 with Wilson's interval.

    Wilson's interval stays within 0 and 1 and has a width even if all problems pass or fail. For
    values other than 0 and 1, whose variance is smaller, it is wider than necessary. None without
    values.
    """
    n = len(values)
    if not n:
        return None
    share = math.fsum(values) / n
    z = NormalDist().inv_cdf((1 + _LEVEL) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    spread = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Proportion(share, max(0.0, middle - spread), min(1.0, middle + spread), n)
