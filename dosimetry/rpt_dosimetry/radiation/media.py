"""Tissues: elemental composition and mass density; and where a point source's energy goes in them.

Source: Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987), table 5, the tissues of the ORNL
phantoms (soft tissue, skeleton, lung); water is H2O at 1 g/cm³; cortical bone is ESTAR's "Bone,
Cortical (ICRP)", material 120 (NIST Standard Reference Database 124), with its I.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput


@dataclass(frozen=True)
class Medium:
    """A homogeneous material.

    Attributes:
        mass_percent: Element → percent of the mass.
        mean_excitation_ev: Mean excitation energy I, eV, for the stopping power.
    """

    name: str
    what: str
    density_g_per_cm3: float
    mass_percent: Mapping[str, float]
    mean_excitation_ev: float

    @property
    def mass_fraction(self) -> dict[str, float]:
        """Element → fraction of the mass; the fractions sum to 1."""
        total = sum(self.mass_percent.values())
        return {element: percent / total for element, percent in self.mass_percent.items()}


_SOFT = {
    **{"H": 10.454, "C": 22.663, "N": 2.490, "O": 63.525, "Na": 0.112, "Mg": 0.013},
    **{"Si": 0.030, "P": 0.134, "S": 0.204, "Cl": 0.133, "K": 0.208, "Ca": 0.024},
    **{"Fe": 0.005, "Zn": 0.003, "Rb": 0.001, "Zr": 0.001},
}
_SKELETON = {
    **{"H": 7.337, "C": 25.475, "N": 3.057, "O": 47.893, "F": 0.025, "Na": 0.326, "Mg": 0.112},
    **{"Si": 0.002, "P": 5.095, "S": 0.173, "Cl": 0.143, "K": 0.153, "Ca": 10.190},
    **{"Fe": 0.008, "Zn": 0.005, "Rb": 0.002, "Sr": 0.003, "Pb": 0.001},
}
_LUNG = {
    **{"H": 10.134, "C": 10.238, "N": 2.866, "O": 75.752, "Na": 0.184, "Mg": 0.007},
    **{"Si": 0.006, "P": 0.080, "S": 0.225, "Cl": 0.266, "K": 0.194, "Ca": 0.009},
    **{"Fe": 0.037, "Zn": 0.001, "Rb": 0.001},
}
_CORTICAL = {
    **{"H": 4.7234, "C": 14.4330, "N": 4.1990, "O": 44.6096, "Mg": 0.2200, "P": 10.4970},
    **{"S": 0.3150, "Ca": 20.9930, "Zn": 0.0100},
}

# I: ESTAR's water, ICRU soft tissue and ICRP lung; the skeleton's by Bragg's rule (ours). An
# error of 10 % in I changes the stopping power at 0.1 MeV by 1 %.
MEDIA = {
    medium.name: medium
    for medium in (
        Medium("soft", "soft tissue", 1.04, _SOFT, 72.3),
        Medium("water", "water", 1.00, {"H": 11.19, "O": 88.81}, 75.0),
        Medium("lung", "lung with its air", 0.296, _LUNG, 75.3),
        Medium("bone", "the skeleton's average, marrow included", 1.40, _SKELETON, 91.0),
        Medium("cortical", "cortical bone", 1.85, _CORTICAL, 106.4),
    )
}
"""Name → medium."""

SOFT_TISSUE_G_PER_CM3 = MEDIA["soft"].density_g_per_cm3


def find_medium(name: str) -> Medium:
    """Look a medium up."""
    if name not in MEDIA:
        raise BadInput(f"The medium must be one of {', '.join(MEDIA)}, got '{name}'.")
    return MEDIA[name]


@dataclass(frozen=True)
class PointKernel:
    """Energy absorbed per decay in spherical shells around a point source.

    Attributes:
        edge_g_per_cm2: Radii that bound the shells, times density, ascending from 0; one
            more than shells.
        beyond_kev: Energy absorbed outside the last shell.
    """

    edge_g_per_cm2: Float[np.ndarray, " edges"]
    shell_kev: Float[np.ndarray, " shells"]
    beyond_kev: float

    @property
    def absorbed_kev(self) -> float:
        """Energy absorbed anywhere, keV per decay."""
        return float(self.shell_kev.sum()) + self.beyond_kev

    def within_kev(self, radius_g_per_cm2: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return the energy absorbed within a radius, keV per decay; evenly spread in a shell."""
        cumulative = np.r_[0.0, np.cumsum(self.shell_kev)]
        within: Float[np.ndarray, " m"] = np.interp(
            radius_g_per_cm2, self.edge_g_per_cm2, cumulative
        )
        return within
