"""From time-integrated activity to absorbed dose, with an organ's S-value used as one.

An organ's S-value is the organ's mean dose per decay anywhere in the organ. The dose of a
voxel is S × organ mass × (time-integrated activity per gram): applied to a voxel's own MBq·s it
would be wrong by the ratio of the masses. Hence :class:`OrganSValue` carries the mass, and takes
activity per gram only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.curves import Floats

# ICRP Publication 107. (ENSDF has 6.6443 d for 177Lu, DDEP 67.83 min for 68Ga.)
LU177_HALF_LIFE_MIN = 6.647 * 24 * 60
GA68_HALF_LIFE_MIN = 67.71
F18_HALF_LIFE_MIN = 109.77
# β⁻ 133.27, conversion electrons 13.52 and Auger electrons 1.13 keV per decay.
LU177_ELECTRON_KEV = 147.92

# ICRP Publication 89: soft tissue.
TISSUE_DENSITY_G_PER_ML = 1.04


def positive(name: str, value: float, *, unit: str) -> float:
    """Return ``value`` if it is finite and above 0.

    Raises:
        ValueError: It is not.
    """
    if not (np.isfinite(value) and value > 0):
        of_unit = f" {unit}" if unit else ""
        raise ValueError(
            f"{name} must be a finite number above 0{of_unit}, got {value!r}{of_unit}. "
            "Check its sign and unit."
        )
    return float(value)


@dataclass(frozen=True, kw_only=True)
class OrganSValue:
    """An organ's self-dose per decay, together with the mass it was computed for.

    Attributes:
        s_mgy_per_mbq_s: Mean dose of the organ per decay in it, mGy/(MBq·s).
        organ_mass_g: Mass of that organ, g.

    Raises:
        ValueError: One of the two is not above 0.
    """

    s_mgy_per_mbq_s: float
    organ_mass_g: float

    def __post_init__(self) -> None:
        """Refuse values that no organ has."""
        positive("s_mgy_per_mbq_s", self.s_mgy_per_mbq_s, unit="mGy/(MBq·s)")
        positive("organ_mass_g", self.organ_mass_g, unit="g")

    def voxel_dose_gy(self, tia_mbq_h_per_g: ArrayLike) -> Floats:
        """Return the dose of voxels that absorb their own energy.

        Args:
            tia_mbq_h_per_g: Time-integrated activity per gram of tissue, MBq·h/g, of any shape;
                its mean over the organ gives the organ's mean dose.

        Returns:
            Gy, of the same shape.

        Raises:
            ValueError: A value is negative or not finite.
        """
        tia = np.asarray(tia_mbq_h_per_g, dtype=np.float64)
        if not np.all(np.isfinite(tia) & (tia >= 0)):
            raise ValueError(
                "tia_mbq_h_per_g must be finite and at least 0 MBq·h/g, and a voxel's is not. "
                "Leave voxels without a value out."
            )
        # 3600 s/h, 1000 mGy/Gy.
        return np.asarray(3.6 * self.s_mgy_per_mbq_s * self.organ_mass_g * tia)


# The paper's S-value, "left kidney cortex", 177Lu; the mass is the cortex of ICRP's adult male
# (Publication 110), with which S × mass is within 1 % of the electrons' energy.
PAPER_KIDNEY_CORTEX = OrganSValue(s_mgy_per_mbq_s=2.2e-4, organ_mass_g=107.104)


def tia_mbq_h_per_g(
    tia_suv_min: ArrayLike,
    *,
    administered_activity_mbq: float,
    weight_kg: float,
    density_g_per_ml: float = TISSUE_DENSITY_G_PER_ML,
) -> Floats:
    """Convert a time-integrated SUV to time-integrated activity per gram of tissue.

    Args:
        tia_suv_min: ∫ SUV·e^(−λt) dt, (g/mL)·min, of any shape.
        weight_kg: Body weight of the SUV, kg.

    Returns:
        MBq·h/g, of the same shape.

    Raises:
        ValueError: Activity, weight or density is not above 0, or a time-integrated SUV is
            negative or not finite.
    """
    tia = np.asarray(tia_suv_min, dtype=np.float64)
    if not np.all(np.isfinite(tia) & (tia >= 0)):
        raise ValueError(
            "tia_suv_min must be finite and at least 0 (g/mL)·min, and a voxel's is not. "
            "Leave voxels without a value out."
        )
    activity = positive("administered_activity_mbq", administered_activity_mbq, unit="MBq")
    weight_g = 1000.0 * positive("weight_kg", weight_kg, unit="kg")
    density = positive("density_g_per_ml", density_g_per_ml, unit="g/mL")
    return tia * (activity / weight_g / 60.0 / density)
