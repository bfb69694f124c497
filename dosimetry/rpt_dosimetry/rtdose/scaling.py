"""From dose to stored integers: the scaling first, then the values.

Dose Grid Scaling is a decimal string of 16 characters, so that it cannot be any number. It is
chosen and rounded first; the values are divided by what is written, and come back within half
of it.

Source: DICOM PS3.3, C.8.8.3 (RT Dose: 16 or 32 bits, unsigned). We take 32: with 16 the steps
of a tumour's 100 Gy are 1.5 mGy, coarser than the dose of distant tissue. Of the 32 bits, 31
are used (ours), for readers that take the values as signed; the steps of 100 Gy are 47 nGy.
"""

import numpy as np
from jaxtyping import Num, Shaped, UInt32
from rpt_cohort import BadInput

LARGEST_STORED = 2**31 - 1
LARGEST_GY = 1e6
"""Ours: no therapy comes near; what is beyond is of another unit."""
SMALLEST_SCALING_GY = 1e-20
"""Ours, for a dose of zero everywhere: a scaling must be above 0."""


def quantise(
    dose_gy: Shaped[np.ndarray, "frame row column"],
) -> tuple[UInt32[np.ndarray, "frame row column"], str]:
    """Store a dose as integers.

    Args:
        dose_gy: Absorbed dose, Gy.

    Returns:
        The stored values, and Dose Grid Scaling, Gy, as it is to be written.

    Raises:
        BadInput: A dose is negative, not finite or above 1e6 Gy.
    """
    dose = dose_gy.astype(np.float64)
    _check(dose)
    scaling = f"{max(float(dose.max()) / LARGEST_STORED, SMALLEST_SCALING_GY):.10e}"
    return np.rint(dose / float(scaling)).astype(np.uint32), scaling


def _check(dose: Num[np.ndarray, "frame row column"]) -> None:
    """Refuse what is no absorbed dose."""
    bad = int((~np.isfinite(dose)).sum())
    if bad:
        raise BadInput(
            f"The dose must be finite in every voxel, and in {bad} of {dose.size} it is not. "
            "Compute it anew."
        )
    negative = int((dose < 0).sum())
    if negative:
        raise BadInput(
            f"The dose must be 0 Gy or more in every voxel, and {negative} of {dose.size} are "
            f"below, down to {dose.min():.4g} Gy. Set what noise or interpolation made negative "
            "to 0."
        )
    if dose.max() > LARGEST_GY:
        raise BadInput(
            f"The dose must be at most {LARGEST_GY:g} Gy, got {dose.max():.4g}. Check its unit."
        )
