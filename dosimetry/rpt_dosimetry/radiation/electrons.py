"""The electrons' point kernel: spectrum, slowing down and multiple scattering.

Every electron slows down continuously along a path that multiple scattering bends. Energy
straggling and knock-on electrons are left out; they blur the end of the track. The radius is
counted in g/cm², so that one kernel serves all densities.
"""

from functools import cache

import numpy as np
import xraydb
from jaxtyping import Float

from rpt_dosimetry.radiation.media import Medium, PointKernel, find_medium
from rpt_dosimetry.radiation.nuclide import Nuclide, find_nuclide
from rpt_dosimetry.radiation.photons import (
    AVOGADRO_PER_MOL,
    CLASSICAL_ELECTRON_RADIUS_CM,
    ELECTRON_REST_KEV,
    electrons_per_g,
    isotropic,
    turned,
)

FINE_STRUCTURE = 1.0 / 137.035999

# Density effect of liquid water: Sternheimer, Berger & Seltzer, At Data Nucl Data Tables 30
# (1984) 261. Taken for all media; below 0.5 MeV it is nothing, at 2 MeV 3 %.
_WATER_X0, _WATER_X1, _WATER_C, _WATER_A, _WATER_M = 0.2400, 2.8004, 3.5017, 0.09116, 3.4773

Values = Float[np.ndarray, "_"]


def stopping_power_kev_cm2_per_g(energy_kev: Values, medium: Medium) -> Values:
    """Return the collision stopping power of electrons of 1 keV to 4 MeV, keV·cm²/g.

    Radiative losses are not in it (under 1 % of the energy up to 2 MeV in water).

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
    """Return one over the transport mean free path of elastic scattering, cm²/g.

    The mean cosine of the angle to the first direction falls as exp(−path / length).

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


ELECTRONS = 40_000
STEPS = 60
SEED = 177
LOWEST_KEV = 1.0
"""keV; an electron below travels under 0.1 µm in tissue, and Bethe's formula ends near it."""
_SHELLS = 300
_SPECTRUM_ENERGIES = 1000


@cache
def electron_kernel(nuclide_name: str, medium_name: str) -> PointKernel:
    """Compute where a nuclide's electrons are absorbed in an infinite medium.

    The kernel's energies sum to the electrons' energy per decay. What they would lose to
    bremsstrahlung (under 1 % up to 2 MeV) counts as absorbed on their way. The same arguments
    give the same numbers.
    """
    nuclide = find_nuclide(nuclide_name)
    energy_kev, carried_kev = _carried(nuclide)
    ladder = _Ladder(float(energy_kev.max()), find_medium(medium_name))
    random = np.random.default_rng(SEED)
    start_kev = _drawn(energy_kev, carried_kev)
    edges = np.linspace(0.0, float(ladder.path_g_per_cm2(start_kev).max()), _SHELLS + 1)
    fraction = _follow(start_kev, ladder, edges, random)
    return PointKernel(edges, fraction * nuclide.electron_kev, 0.0)


class _Ladder:
    """What lies before an electron of some energy until it stops: path and turning."""

    def __init__(self, highest_kev: float, medium: Medium) -> None:
        self.energy_kev = np.geomspace(LOWEST_KEV, max(highest_kev, 2 * LOWEST_KEV), 2000)
        per_kev = 1.0 / stopping_power_kev_cm2_per_g(self.energy_kev, medium)
        turn_per_kev = inverse_transport_length_cm2_per_g(self.energy_kev, medium) * per_kev
        self._path, self._turning = (
            _integral(per_kev, self.energy_kev),
            _integral(turn_per_kev, self.energy_kev),
        )

    def path_g_per_cm2(self, energy_kev: Values) -> Values:
        """Return the range by continuous slowing down to LOWEST_KEV."""
        path: Values = np.interp(energy_kev, self.energy_kev, self._path)
        return path

    def energy_at_kev(self, path_g_per_cm2: Values) -> Values:
        """Return the energy of an electron with so much path before it."""
        energy: Values = np.interp(path_g_per_cm2, self._path, self.energy_kev)
        return energy

    def turning(self, energy_kev: Values) -> Values:
        """Return minus the logarithm of the mean cosine between now and the end."""
        turning: Values = np.interp(energy_kev, self.energy_kev, self._turning)
        return turning


def _integral(values: Values, at: Values) -> Values:
    integral: Values = np.r_[0.0, np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(at))]
    return integral


def _carried(nuclide: Nuclide) -> tuple[Values, Values]:
    """Return all electrons' energies and the energy per decay that each carries, keV."""
    energies, carried = [], []
    spectrum = nuclide.beta_spectrum
    if spectrum is not None:
        edges = np.linspace(0.0, spectrum.energy_kev[-1], _SPECTRUM_ENERGIES + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        density = middle * np.interp(middle, spectrum.energy_kev, spectrum.per_kev_decay)
        energies.append(middle)
        # The tabulated spectrum's energy is within 0.4 % of the transitions' mean energies.
        carried.append(density / density.sum() * nuclide.beta.kev_per_decay)
    for lines in (nuclide.conversion, nuclide.auger):
        energies.append(lines.energy_kev)
        carried.append(lines.energy_kev * lines.per_decay)
    return np.concatenate(energies), np.concatenate(carried)


def _drawn(energy_kev: Values, carried_kev: Values) -> Values:
    """Draw energies evenly by the energy they carry: all electrons stand for the same keV."""
    order = np.argsort(energy_kev)
    cumulative = np.cumsum(carried_kev[order])
    even = (np.arange(ELECTRONS) + 0.5) / ELECTRONS * cumulative[-1]
    drawn: Values = energy_kev[order][np.searchsorted(cumulative, even)]
    return drawn


def _follow(
    start_kev: Values, ladder: _Ladder, edges: Values, random: np.random.Generator
) -> Values:
    """Return the fraction of the energy left in each shell.

    A step's turn and its deposit happen at a random point of the step: the "random hinge" of
    PENELOPE (Salvat, NEA/MBDAV/R(2019)1).
    """
    place = np.zeros((3, len(start_kev)))
    direction = isotropic(len(start_kev), random)
    step = ladder.path_g_per_cm2(start_kev) / STEPS
    before_kev, before_turning = start_kev, ladder.turning(start_kev)
    tally = np.zeros(len(edges) - 1)
    for number in range(1, STEPS + 1):
        last = number == STEPS
        after_kev = np.zeros_like(step) if last else ladder.energy_at_kev(step * (STEPS - number))
        after_turning = ladder.turning(after_kev)
        hinge = random.random(len(step))
        place = place + direction * (hinge * step)
        shell = np.searchsorted(edges, np.sqrt((place**2).sum(axis=0)), side="right") - 1
        lost = (before_kev - after_kev) / start_kev / len(start_kev)
        tally += np.bincount(np.minimum(shell, len(tally) - 1), lost, minlength=len(tally))
        cosine = _deflection(np.exp(after_turning - before_turning), random)
        direction = turned(direction, cosine, random)
        place = place + direction * ((1.0 - hinge) * step)
        before_kev, before_turning = after_kev, after_turning
    return tally


_KAPPA = np.geomspace(1e-3, 1e7, 2000)
_MEAN_COSINE = 1.0 / np.tanh(_KAPPA) - 1.0 / _KAPPA


def _deflection(mean_cosine: Values, random: np.random.Generator) -> Values:
    """Draw cosines of a given mean from the von Mises–Fisher distribution.

    It is what a small-angle Gaussian is on the sphere; its higher moments stand in for those
    of multiple scattering (ours).
    """
    kappa = np.interp(mean_cosine, _MEAN_COSINE, _KAPPA)
    uniform = random.random(len(mean_cosine))
    cosine = 1.0 + np.log(uniform + (1.0 - uniform) * np.exp(-2.0 * kappa)) / kappa
    drawn: Values = np.clip(cosine, -1.0, 1.0)
    return drawn
