"""How electrons slow down and turn: collision stopping power, elastic scattering."""

import numpy as np
import xraydb
from jaxtyping import Float

from rpt_dosimetry.radiation.attenuation import (
    AVOGADRO_PER_MOL,
    CLASSICAL_ELECTRON_RADIUS_CM,
    ELECTRON_REST_KEV,
    electrons_per_g,
)
from rpt_dosimetry.radiation.media import Medium

FINE_STRUCTURE = 1.0 / 137.035999

# Density effect of liquid water: Sternheimer, Berger & Seltzer, At Data Nucl Data Tables 30
# (1984) 261. Taken for all media; below 0.5 MeV it is nothing, at 2 MeV 3 %.
_WATER_X0, _WATER_X1, _WATER_C, _WATER_A, _WATER_M = 0.2400, 2.8004, 3.5017, 0.09116, 3.4773

Values = Float[np.ndarray, " n"]


def stopping_power_kev_cm2_per_g(energy_kev: Values, medium: Medium) -> Values:
    """Return the collision stopping power of electrons.

    Args:
        energy_kev: Kinetic energy, keV, 1 keV to 4 MeV.
        medium: The material.

    Returns:
        keV·cm²/g; radiative losses are not in it (under 1 % of the energy up to 2 MeV in water).

    Source: Bethe's formula for electrons as in ICRU Report 37 (1984), eqs 2.7 and 2.8.
    """
    tau = energy_kev / ELECTRON_REST_KEV
    beta2 = tau * (tau + 2) / (tau + 1) ** 2
    excitation = medium.mean_excitation_ev / 1000.0 / ELECTRON_REST_KEV
    f = (1 - beta2) * (1 + tau**2 / 8 - (2 * tau + 1) * np.log(2.0))
    log = np.log(tau**2 * (tau + 2) / (2 * excitation**2))
    area = 2 * np.pi * CLASSICAL_ELECTRON_RADIUS_CM**2 * ELECTRON_REST_KEV
    power: Values = area * electrons_per_g(medium) / beta2 * (log + f - _density_effect(beta2))
    return power


def inverse_transport_length_cm2_per_g(energy_kev: Values, medium: Medium) -> Values:
    """Return one over the transport mean free path of elastic scattering.

    The mean cosine of the angle to the first direction falls as exp(−path / length).

    Args:
        energy_kev: Kinetic energy, keV.
        medium: The material.

    Returns:
        cm²/g.

    Source: the screened Rutherford cross section with Molière's screening (Z Naturforsch 2a
    (1947) 133), its first transport moment in closed form; Z(Z + 1) for Z² counts the
    scattering by electrons.
    """
    tau = energy_kev / ELECTRON_REST_KEV
    beta2 = tau * (tau + 2) / (tau + 1) ** 2
    momentum2 = tau * (tau + 2)  # in units of (mc)²
    rutherford = 2 * np.pi * CLASSICAL_ELECTRON_RADIUS_CM**2 / (beta2 * momentum2)
    total = np.zeros_like(energy_kev)
    for element, fraction in medium.mass_fraction.items():
        z = xraydb.atomic_number(element)
        atoms_per_g = AVOGADRO_PER_MOL * fraction / xraydb.atomic_mass(element)
        angle2 = (FINE_STRUCTURE * z ** (1 / 3) / 0.885) ** 2 / momentum2
        screening = angle2 * (1.13 + 3.76 * (FINE_STRUCTURE * z) ** 2 / beta2) / 4
        moment = np.log1p(1 / screening) - 1 / (1 + screening)
        total += atoms_per_g * z * (z + 1) * rutherford * moment
    return total


def _density_effect(beta2: Values) -> Values:
    x = np.log10(np.sqrt(beta2 / (1 - beta2)))
    high = 2 * np.log(10.0) * x - _WATER_C
    bend = _WATER_A * np.clip(_WATER_X1 - x, 0.0, None) ** _WATER_M
    effect: Values = np.where(x < _WATER_X0, 0.0, high + bend)
    return effect
