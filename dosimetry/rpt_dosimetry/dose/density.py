"""Mass density of the patient, from CT numbers."""

import numpy as np
from jaxtyping import Bool, Float, Shaped
from rpt_cohort import BadInput, Volume

_HU = (-1000.0, -98.0, -97.0, 14.0, 23.0, 100.0, 101.0, 1600.0, 3000.0)
_G_PER_ML = (0.00121, 0.93, 0.930486, 1.03, 1.031, 1.1199, 1.0762, 1.9642, 2.8)

LOWEST_G_PER_ML = 0.2
"""Ours: thinner voxels count as this thin in the dose. Activity that SPECT shows in air is
blur from tissue, and divided by the mass of air it would be a thousandfold dose; lung at
full inspiration is about as thin as this."""

PADDING_BELOW_HU = -1100.0
"""Below are no CT numbers but what scanners write outside their round field of view."""
AIR_BELOW_HU = -200.0
"""Ours: fat is above, lung and air are below; a CT of a trunk has both sides."""


def mass_density_g_per_ml(ct_hu: Shaped[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """Convert CT numbers to mass density.

    Linear between the nodes; below −1000 HU the density of air, above 3000 HU 2.8 g/mL. The
    density falls from 100 to 101 HU, where the soft tissues end and the skeleton begins.

    Args:
        ct_hu: CT numbers, HU, shape (x, y, z).

    Returns:
        Density, g/mL, shape (x, y, z).

    Source: W. Schneider, Bortfeld & Schlegel, Phys Med Biol 45 (2000) 459, as tabulated in
    GATE's ``Schneider2000DensitiesTable.txt``. Its tissues were matched to one scanner at
    120 kV; another's calibration may differ by some percent in bone.
    """
    density: Float[np.ndarray, "x y z"] = np.interp(ct_hu, _HU, _G_PER_ML)
    return density


def floored(
    density_g_per_ml: Float[np.ndarray, "x y z"],
) -> tuple[Float[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]]:
    """Raise densities to what a dose may be divided by.

    Args:
        density_g_per_ml: Density, g/mL, shape (x, y, z).

    Returns:
        The density, at least ``LOWEST_G_PER_ML``, and where it was raised.
    """
    return np.maximum(density_g_per_ml, LOWEST_G_PER_ML), density_g_per_ml < LOWEST_G_PER_ML


def check_hu(ct: Volume, *, name: str) -> None:
    """Refuse a volume that cannot be a CT of a patient in HU.

    Args:
        ct: What is said to be one.
        name: What an error calls it.

    Raises:
        BadInput: Values are not finite, or none is on one side of −200 HU: stored values
            without their intercept, an attenuation map, a constant.
    """
    if not np.isfinite(ct.data).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew, in HU.")
    real = ct.data[ct.data >= PADDING_BELOW_HU]
    if not (np.any(real < AIR_BELOW_HU) and np.any(real >= AIR_BELOW_HU)):
        raise BadInput(
            f"{name} must be in HU, with air (below {AIR_BELOW_HU:g} HU) and tissue, got "
            f"{float(ct.data.min()):.6g} to {float(ct.data.max()):.6g}. Apply the rescale slope "
            "and intercept of the series."
        )
