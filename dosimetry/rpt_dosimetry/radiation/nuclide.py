"""A nuclide: its radiations per decay, its half-life, and how DICOM headers name it.

The database (PyPI ``icrp107-database``) holds ICRP Publication 107 (2008) nuclide by nuclide.
Daughters are not included: I-131 is without its 1.2 % of Xe-131m.
"""

import difflib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput

KEV_PER_MEV = 1000.0
SECONDS: dict[str, float] = {
    **{"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0},
    "y": 365.2422 * 86400.0,
}
"""The database's units of time, in s; the year is the tropical one of ICRP-107."""

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
    content = _content(name)
    emissions = content["emissions"]
    other = [kind for kind in NOT_MODELLED if emissions.get(kind)]
    if other:
        raise BadInput(
            f"The nuclide must emit electrons and photons only, and {name} also has "
            f"{', '.join(other)}. Such dose is not modelled here."
        )
    return Nuclide(
        name=name,
        half_life_h=float(content["half_life"]) * (SECONDS[content["time_unit"]] / 3600.0),
        beta=_lines(emissions["beta-"] + emissions["beta+"]),
        beta_spectrum=_spectrum(emissions["b-spectra"]),
        conversion=_lines(emissions["IE"]),
        auger=_lines(emissions["auger"]),
        photons=_lines(emissions["gamma"] + emissions["X"] + emissions["annihilation"]),
    )


def _content(name: str) -> Any:
    file = resources.files("icrp107_database") / "icrp107" / f"{name}.json"
    return json.loads(json.loads(file.read_text()))  # the file is JSON encoded twice


@cache
def half_life_s(name: str) -> float:
    """Return the physical half-life of a nuclide of the database, s."""
    content = _content(name)
    return float(content["half_life"]) * SECONDS[content["time_unit"]]


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


class Named(NamedTuple):
    """How headers name a nuclide.

    Attributes:
        words: The element, written out.
        codes: Of the Radionuclide Code Sequence, and their scheme; the first is written.
    """

    words: tuple[str, ...]
    codes: tuple[tuple[str, str], ...] = ()


IN_HEADERS = {
    "C-11": Named(("carbon",)),
    "N-13": Named(("nitrogen",)),
    "O-15": Named(("oxygen",)),
    "F-18": Named(("fluorine", "fluor"), (("C-111A1", "SRT"), ("77004003", "SCT"))),
    "Sc-44": Named(("scandium",)),
    "Cu-64": Named(("copper",)),
    "Ga-68": Named(("gallium",), (("C-131A3", "SRT"), ("80751004", "SCT"))),
    "Rb-82": Named(("rubidium",)),
    "Zr-89": Named(("zirconium",)),
    "Y-90": Named(("yttrium",)),
    "I-124": Named(("iodine",)),
    "I-131": Named(("iodine",)),
    "Tb-161": Named(("terbium",)),
    "Lu-177": Named(("lutetium",), (("447553000", "SCT"),)),
}
"""The nuclides that a header may name: this is the one list. Half-lives are the database's.

Source of the codes: DICOM PS3.16, context groups 18 and 4020.
"""
LARGEST_DEVIATION = 0.05
"""Relative; values in use for one nuclide differ by less than 2 %, and Tb-161 and Lu-177 by 4 %:
where a half-life is all that is told, the nearest nuclide is meant."""

_OF_CODE = {code: name for name, named in IN_HEADERS.items() for code, _ in named.codes}
_SYMBOL = {
    word: name.split("-")[0]
    for name, named in IN_HEADERS.items()
    for word in (name.split("-")[0].lower(), *named.words)
}
_MASS_FIRST = re.compile(r"(?<![0-9])(\d{2,3})[^a-z0-9]*([a-z]+)")
_MASS_LAST = re.compile(r"(?<![a-z])([a-z]+)[^a-z0-9]*(\d{2,3})(?![0-9]|m(?![a-z]))")


def nuclide_in_text(text: str) -> str | None:
    """Find the one nuclide that a text names, such as ``^18^Fluorine`` or ``Ga68-PSMA``.

    Returns:
        A key of ``IN_HEADERS``, or ``None`` where none or several are named. A metastable one,
        such as ``Lu-177m``, is another nuclide, and none of them.
    """
    text = text.lower()
    pairs = [(word, mass) for mass, word in _MASS_FIRST.findall(text)]
    pairs += _MASS_LAST.findall(text)
    found = {f"{_SYMBOL.get(word)}-{mass}" for word, mass in pairs} & IN_HEADERS.keys()
    return found.pop() if len(found) == 1 else None


def nuclide_of_code(*, value: str, meaning: str) -> str | None:
    """Read a Radionuclide Code; its meaning goes before its value, which vendors mistake."""
    return nuclide_in_text(meaning) or _OF_CODE.get(value)


def code_of_nuclide(name: str) -> tuple[str, str, str]:
    """Return value, scheme and meaning of the code to write: ``C-131A3, SRT, ^68^Gallium``."""
    named = IN_HEADERS[name]
    return (*named.codes[0], f"^{name.split('-')[1]}^{named.words[0].capitalize()}")


def check_half_life(told_s: float, *, coded: str | None) -> tuple[str | None, str]:
    """Hold a half-life against the table.

    Returns:
        The nuclide, by name or else by half-life, ``None`` where nothing tells it; and why the
        half-life cannot be right, a sentence, empty where it can.
    """
    if coded is not None:
        if _near(told_s, coded):
            return coded, ""
        expected_s = half_life_s(coded)
        hint = _hint(told_s, coded)
        return coded, f"got {told_s:g} s where {coded} has {expected_s:g} s.{hint}"
    nearest = min(IN_HEADERS, key=lambda name: abs(told_s / half_life_s(name) - 1.0))
    if _near(told_s, nearest):
        return nearest, ""
    for name in IN_HEADERS:
        if hint := _hint(told_s, name):
            return None, f"got {told_s:g} s, of no nuclide known here.{hint}"
    return None, ""


def _near(value_s: float, name: str) -> bool:
    return abs(value_s / half_life_s(name) - 1.0) <= LARGEST_DEVIATION


def _hint(value_s: float, name: str) -> str:
    units = {"minutes": 60.0, "hours": 3600.0, "days": 86400.0, "milliseconds": 1e-3}
    for unit, factor in units.items():
        if _near(value_s * factor, name):
            return f" It looks like {unit} ({name})."
    return ""
