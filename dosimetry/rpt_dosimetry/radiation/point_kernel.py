"""Where the energy of a point source goes in an infinite homogeneous medium."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class PointKernel:
    """Energy absorbed per decay in spherical shells around a point source.

    Attributes:
        edge_g_per_cm2: Radii that bound the shells, times density, g/cm², ascending from 0; one
            more than shells.
        shell_kev: Energy absorbed per decay in each shell, keV.
        beyond_kev: Energy absorbed outside the last shell, keV per decay.
    """

    edge_g_per_cm2: Float[np.ndarray, " edges"]
    shell_kev: Float[np.ndarray, " shells"]
    beyond_kev: float

    @property
    def absorbed_kev(self) -> float:
        """Energy absorbed anywhere, keV per decay."""
        return float(self.shell_kev.sum()) + self.beyond_kev

    def within_kev(self, radius_g_per_cm2: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Return the energy absorbed within a radius, keV per decay.

        Inside a shell the energy is taken as evenly spread over the radius.

        Args:
            radius_g_per_cm2: Radius times density, g/cm².
        """
        cumulative = np.r_[0.0, np.cumsum(self.shell_kev)]
        within: Float[np.ndarray, " m"] = np.interp(
            radius_g_per_cm2, self.edge_g_per_cm2, cumulative
        )
        return within
