"""What Pearson's r is worth: its p, and its mean over patients by Fisher's z.

Neighbouring voxels are no independent observations: PET and SPECT blur them together, so a
p value over voxels is far too small. A cycle's r is one number, a patient's the mean over
the cycles, and the patients are what a test counts.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from rpt_cohort.correlation import SAME, is_constant
from scipy import stats

from rpt_eval.statistics import patient_means

FEWEST_PATIENTS = 3
"""Below this nothing is tested (ours)."""
NAN = float("nan")


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
