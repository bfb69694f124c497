"""A nuclide's radiations per decay, from the ICRP-107 database.

The database (PyPI ``icrp107-database``) holds ICRP Publication 107 (2008) nuclide by nuclide.
Daughters are not included: I-131 is without its 1.2 % of Xe-131m.
"""

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput

KEV_PER_MEV = 1000.0
HOURS: dict[str, float] = {
    "us": 1e-6 / 3600.0,
    "ms": 1e-3 / 3600.0,
    "s": 1.0 / 3600.0,
    "m": 1.0 / 60.0,
    "h": 1.0,
    "d": 24.0,
    "y": 365.2422 * 24.0,
}
"""The database's units of time, in h; the year is the tropical one of ICRP-107."""

NOT_MODELLED = ("alpha", "alpha recoil", "fission", "neutron", "betaD")


@dataclass(frozen=True)
class Lines:
    """Radiations of fixed energy."""

    energy_kev: Float[np.ndarray, " n"]
    per_decay: Float[np.ndarray, " n"]

    @property
    def kev_per_decay(self) -> float:
        """Energy of all per decay, keV."""
        return float(self.energy_kev @ self.per_decay)


@dataclass(frozen=True)
class Spectrum:
    """A continuous β spectrum.

    Attributes:
        energy_kev: Nodes, keV, ascending; between them the density is linear.
        per_kev_decay: Electrons per keV and decay at the nodes.
    """

    energy_kev: Float[np.ndarray, " n"]
    per_kev_decay: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Nuclide:
    """What one decay emits.

    Attributes:
        name: ICRP-107's name, such as ``Lu-177``.
        half_life_h: Physical half-life, h.
        beta: β⁻ and β⁺ transitions: mean energies and yields.
        beta_spectrum: The spectrum of all of them, or ``None`` where there are none.
        conversion: Internal conversion electrons.
        auger: Auger and Coster–Kronig electrons.
        photons: γ, X and annihilation radiation.
    """

    name: str
    half_life_h: float
    beta: Lines
    beta_spectrum: Spectrum | None
    conversion: Lines
    auger: Lines
    photons: Lines

    @property
    def electron_kev(self) -> float:
        """Energy of all electrons per decay, keV; Lu-177: 147.92."""
        return self.beta.kev_per_decay + self.conversion.kev_per_decay + self.auger.kev_per_decay

    @property
    def photon_kev(self) -> float:
        """Energy of all photons per decay, keV; Lu-177: 35.10."""
        return self.photons.kev_per_decay

    @property
    def decay_per_h(self) -> float:
        """Decay constant, 1/h."""
        return float(np.log(2.0)) / self.half_life_h


@cache
def find_nuclide(name: str) -> Nuclide:
    """Look a nuclide up by its ICRP-107 name.

    Args:
        name: Element, dash, mass number, such as ``Lu-177`` or ``Tc-99m``.

    Raises:
        BadInput: The database has no such nuclide, or it emits what is not modelled here:
            α particles, neutrons, fission fragments.

    Source: ICRP Publication 107, Ann. ICRP 38(3) (2008).
    """
    known = _names()
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise BadInput(
            f"The nuclide must be named as ICRP-107 does, such as Lu-177, got '{name}'.{hint}"
        )
    file = resources.files("icrp107_database") / "icrp107" / f"{name}.json"
    content = json.loads(json.loads(file.read_text()))  # the file is JSON encoded twice
    emissions = content["emissions"]
    other = [kind for kind in NOT_MODELLED if emissions.get(kind)]
    if other:
        raise BadInput(
            f"The nuclide must emit electrons and photons only, and {name} also has "
            f"{', '.join(other)}. Such dose is not modelled here."
        )
    return Nuclide(
        name=name,
        half_life_h=float(content["half_life"]) * HOURS[content["time_unit"]],
        beta=_lines(emissions["beta-"] + emissions["beta+"]),
        beta_spectrum=_spectrum(emissions["b-spectra"]),
        conversion=_lines(emissions["IE"]),
        auger=_lines(emissions["auger"]),
        photons=_lines(emissions["gamma"] + emissions["X"] + emissions["annihilation"]),
    )


@cache
def _names() -> frozenset[str]:
    folder = resources.files("icrp107_database") / "icrp107"
    return frozenset(file.name.removesuffix(".json") for file in folder.iterdir())


def _lines(pairs: list[list[float]]) -> Lines:
    energy_mev, per_decay = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Lines(energy_mev * KEV_PER_MEV, per_decay)


def _spectrum(pairs: list[list[float]]) -> Spectrum | None:
    if not pairs:
        return None
    energy_mev, per_mev = np.array(pairs, dtype=np.float64).T
    return Spectrum(energy_mev * KEV_PER_MEV, per_mev / KEV_PER_MEV)
