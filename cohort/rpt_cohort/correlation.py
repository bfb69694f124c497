"""Pearson's r of voxels, and where it is not defined."""

import numpy as np
from jaxtyping import Float

FEWEST_VALUES = 3
"""Below this nothing is correlated (ours)."""
SAME = 1e-12
"""Relative spread, and distance of |r| from 1, that is rounding only (ours)."""

Values = Float[np.ndarray, " n"]


def why_undefined(pet: Values, dose: Values) -> str | None:
    """Say why the two have no correlation, or None where they have one."""
    if len(pet) < FEWEST_VALUES:
        return f"fewer than {FEWEST_VALUES} values: {len(pet)}"
    same = [name for name, values in (("PET", pet), ("dose", dose)) if is_constant(values)]
    return f"{' and '.join(same)} the same everywhere" if same else None


def pearson_r(x: Values, y: Values) -> float:
    """Correlate two series; NaN where ``why_undefined`` has a reason.

    Source: Pearson, Proc R Soc Lond 58 (1895) 240; two passes in double precision.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if why_undefined(x, y):
        return float("nan")
    # Scaled first, or squares of tiny or huge values leave the range of numbers.
    x, y = ((v - v.mean()) / np.abs(v - v.mean()).max() for v in (x, y))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def is_constant(values: Values) -> bool:
    """Say whether values, at least one, differ by no more than rounding."""
    return bool(np.ptp(values) <= SAME * np.abs(values).max())
