"""Pearson's r, and what it is worth over patients by Fisher's z.

Neighbouring voxels are no independent observations: PET and SPECT blur them together, so a
p value over voxels is far too small. A cycle's r is one number, a patient's the mean over
the cycles, and the patients are what a test counts.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from rpt_eval.statistics import patient_means

FEWEST_PATIENTS = 3
"""Below this nothing is tested (ours)."""
SAME = 1e-12
"""Relative spread, and distance of |r| from 1, that is rounding only (ours)."""
NAN = float("nan")

Values = Float[np.ndarray, " n"]


def why_undefined(pet: Values, dose: Values) -> str | None:
    """Say why the two have no correlation, or None where they have one."""
    if len(pet) < FEWEST_PATIENTS:
        return f"fewer than {FEWEST_PATIENTS} values: {len(pet)}"
    same = [name for name, values in (("PET", pet), ("dose", dose)) if is_constant(values)]
    return f"{' and '.join(same)} the same everywhere" if same else None


def pearson_r(x: Values, y: Values) -> float:
    """Correlate two series; NaN where ``why_undefined`` has a reason.

    Source: Pearson, Proc R Soc Lond 58 (1895) 240; two passes in double precision.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if why_undefined(x, y):
        return NAN
    # Scaled first, or squares of tiny or huge values leave the range of numbers.
    x, y = ((v - v.mean()) / np.abs(v - v.mean()).max() for v in (x, y))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def pearson_p(r: float, *, n: int) -> float:
    """Return the two-sided p of r = 0 for ``n`` independent pairs; NaN below three.

    Source: Student's t with n − 2 degrees of freedom, t = r √((n − 2) / (1 − r²)).
    """
    if n < FEWEST_PATIENTS or not np.isfinite(r):
        return NAN
    if 1.0 - abs(r) < SAME:
        return 0.0
    return float(2.0 * stats.t.sf(abs(r) * np.sqrt((n - 2) / (1.0 - r * r)), n - 2))


@dataclass(frozen=True)
class FisherMean:
    """The mean correlation over patients, from Fisher's z; NaN where it is not defined.

    Attributes:
        r: tanh of the mean z over patients.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided, of a mean z of 0.
        reason: Why a number is missing; None where none is.
    """

    r: float
    low: float
    high: float
    p: float
    reason: str | None


def fisher_mean(r: pd.Series, patients: pd.Series) -> FisherMean:
    """Average correlations over patients and test whether their mean is 0.

    z = artanh r for each cycle, averaged over a patient's cycles; then Student's one-sample
    t test over patients, n − 1 degrees of freedom, and the interval of the mean z by t; mean
    and interval are turned back into r.

    Args:
        r: One for each cycle; no NaN.
        patients: Whose cycle it is.

    Source: Fisher, Metron 1 (1921) 3. Patients count alike, whatever their voxels and cycles
        (ours).
    """
    if r.empty:
        return FisherMean(NAN, NAN, NAN, NAN, "no cycle with an r")
    perfect = int((1.0 - r.abs() < SAME).sum())
    if perfect:
        why = f"Fisher's z is infinite: r is 1 or −1 in {perfect} of {len(r)} cycles"
        return FisherMean(NAN, NAN, NAN, NAN, why)
    z = patient_means(np.arctanh(r.to_numpy()), patients.tolist())
    mean = float(z.mean())
    if len(z) < FEWEST_PATIENTS:
        why = f"fewer than {FEWEST_PATIENTS} patients: {len(z)}"
        return FisherMean(float(np.tanh(mean)), NAN, NAN, NAN, why)
    if is_constant(z):
        return FisherMean(float(np.tanh(mean)), NAN, NAN, NAN, "r the same in every patient")
    standard_error = float(z.std(ddof=1)) / np.sqrt(len(z))
    reach = float(stats.t.ppf(0.975, len(z) - 1)) * standard_error
    return FisherMean(
        r=float(np.tanh(mean)),
        low=float(np.tanh(mean - reach)),
        high=float(np.tanh(mean + reach)),
        p=float(2.0 * stats.t.sf(abs(mean) / standard_error, len(z) - 1)),
        reason=None,
    )


def is_constant(values: Values) -> bool:
    """Say whether values, at least one, differ by no more than rounding."""
    return bool(np.ptp(values) <= SAME * np.abs(values).max())
