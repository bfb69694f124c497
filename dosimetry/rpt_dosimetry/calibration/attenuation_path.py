"""How much a patient attenuates between front and back, from the CT."""

from dataclasses import dataclass

import numpy as np
import xraydb
from jaxtyping import Float64, Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.volumes import turned_to_ras

from rpt_dosimetry.dose.density import check_hu, mass_density_g_per_ml
from rpt_dosimetry.radiation.media import find_medium

LEAST_KEV, LARGEST_KEV = 30.0, 800.0
_SOFT_TO_HU, _BONE_FROM_HU = 100.0, 1600.0
"""Between them the composition goes from soft tissue to skeleton, linearly; ours. At 208 keV the
two differ by 3 % a gram."""
_AIR_BELOW_HU = -900.0
_MM_PER_CM = 10.0
_LARGEST_TILT = 1e-3


@dataclass(frozen=True)
class FrontalPlane:
    """Values on a plane seen from in front, on ascending positions.

    Attributes:
        values: Shape (x, z).
        x_mm: Position of each column of pixels, to the patient's right, mm.
        z_mm: Position of each row of pixels, to the head, mm.
    """

    values: Float64[np.ndarray, "x z"]
    x_mm: Float64[np.ndarray, " x"]
    z_mm: Float64[np.ndarray, " z"]


def attenuation_path(ct: Volume, *, photon_kev: float) -> FrontalPlane:
    """Integrate the attenuation coefficient from front to back.

    μ = ρ(HU) · μ/ρ: density after Schneider, the mass coefficient of soft tissue, towards
    bone that of skeleton, coherent scattering included: a narrow beam, as scatter was
    corrected. Below −900 HU is air, and counts as none. The couch that the CT shows counts, as
    the couch under the planar scan did.

    Args:
        ct: CT in HU.
        photon_kev: Photon energy, keV.

    Returns:
        The integral of μ, a pure number, on the CT's columns and rows.

    Raises:
        BadInput: The energy is out of the tables, the CT is not in HU, or it is tilted.

    Source: Elam, Ravel & Sieber, Radiat Phys Chem 63 (2002) 121, by ``xraydb``; Schneider et al.
    2000 as in ``mass_density_g_per_ml``.
    """
    if not LEAST_KEV <= photon_kev <= LARGEST_KEV:
        raise BadInput(
            f"photon_kev must be from {LEAST_KEV:g} to {LARGEST_KEV:g} keV, got {photon_kev!r} keV."
        )
    check_hu(ct, name="The CT")
    upright = in_ras(ct, name="The CT")
    per_cm = linear_attenuation_per_cm(upright.data, photon_kev=photon_kev)
    depth_cm = upright.spacing_mm[1] / _MM_PER_CM
    return FrontalPlane(per_cm.sum(axis=1) * depth_cm, *frontal_mm(upright))


def linear_attenuation_per_cm(
    ct_hu: Shaped[np.ndarray, "x y z"], *, photon_kev: float
) -> Float64[np.ndarray, "x y z"]:
    """Return the linear attenuation coefficient, 1/cm, see ``attenuation_path``."""
    hu = ct_hu.astype(np.float64)
    soft, bone = (_mass_cm2_per_g(name, photon_kev) for name in ("soft", "bone"))
    share = np.clip((hu - _SOFT_TO_HU) / (_BONE_FROM_HU - _SOFT_TO_HU), 0.0, 1.0)
    per_cm = mass_density_g_per_ml(hu) * (soft + share * (bone - soft))
    return np.where(hu < _AIR_BELOW_HU, 0.0, per_cm)


def in_ras(volume: Volume, *, name: str) -> Volume:
    """Turn a volume's axes to the right, front and head.

    Raises:
        BadInput: Its axes are tilted against the patient's.
    """
    turned = turned_to_ras(volume)
    affine = turned.affine
    off_axis = np.abs(affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))).max()
    if off_axis > _LARGEST_TILT * np.abs(affine[:3, :3]).max():
        raise BadInput(
            f"{name} must lie along the patient's axes, and it is tilted. Resample it to upright "
            "slices first."
        )
    return turned


def frontal_mm(upright: Volume) -> tuple[Float64[np.ndarray, " x"], Float64[np.ndarray, " z"]]:
    """Return the positions of a RAS volume's columns (x) and slices (z), mm."""
    x, _, z = upright.data.shape
    affine = upright.affine
    return (
        affine[0, 3] + affine[0, 0] * np.arange(x, dtype=np.float64),
        affine[2, 3] + affine[2, 2] * np.arange(z, dtype=np.float64),
    )


def _mass_cm2_per_g(medium_name: str, energy_kev: float) -> float:
    fractions = find_medium(medium_name).mass_fraction
    return sum(
        fraction * float(xraydb.mu_elam(element, energy_kev * 1000.0, kind="total"))
        for element, fraction in fractions.items()
    )
