"""Imaged nuclides: which one a series tells, and whether its half-life fits.

Source of the half-lives: ICRP Publication 107 (2008).
"""

import re
from dataclasses import dataclass

_MIN, _H, _D = 60.0, 3600.0, 86400.0

HALF_LIFE_S: dict[str, float] = {
    "C-11": 20.39 * _MIN,
    "N-13": 9.965 * _MIN,
    "O-15": 122.24,
    "F-18": 109.77 * _MIN,
    "Sc-44": 3.97 * _H,
    "Cu-64": 12.700 * _H,
    "Ga-68": 67.71 * _MIN,
    "Rb-82": 1.273 * _MIN,
    "Zr-89": 78.41 * _H,
    "Y-90": 64.10 * _H,
    "I-124": 4.1760 * _D,
    "I-131": 8.02070 * _D,
    "Tb-161": 6.906 * _D,
    "Lu-177": 6.647 * _D,
}
"""Nuclide → physical half-life, s."""

LARGEST_DEVIATION = 0.05
"""Relative; values in use for one nuclide differ by less than 2 %, and Tb-161 and Lu-177 by 4 %:
where a half-life is all that is told, the nearest nuclide is meant."""

_ELEMENTS = {
    "carbon": "C",
    "nitrogen": "N",
    "oxygen": "O",
    "fluorine": "F",
    "fluor": "F",
    "scandium": "Sc",
    "copper": "Cu",
    "gallium": "Ga",
    "rubidium": "Rb",
    "yttrium": "Y",
    "zirconium": "Zr",
    "iodine": "I",
    "terbium": "Tb",
    "lutetium": "Lu",
}
_CODES = {
    "C-111A1": "F-18",  # SNOMED RT
    "77004003": "F-18",  # SNOMED CT
    "C-131A3": "Ga-68",
    "80751004": "Ga-68",
}
_SYMBOLS = {symbol.lower(): symbol for symbol in _ELEMENTS.values()}
_MASS_FIRST = re.compile(r"(?<![0-9])(\d{2,3})[^a-z0-9]*([a-z]+)")
_MASS_LAST = re.compile(r"(?<![a-z])([a-z]+)[^a-z0-9]*(\d{2,3})(?![0-9]|m(?![a-z]))")


@dataclass(frozen=True)
class HalfLifeCheck:
    """What the half-life of a series says about its nuclide.

    Attributes:
        nuclide: The nuclide, such as ``F-18``; ``None`` where nothing tells it.
        fault: Why the half-life cannot be right, a sentence; empty where it can.
    """

    nuclide: str | None
    fault: str


def nuclide_in_text(text: str) -> str | None:
    """Find the one nuclide that a text names, such as ``^18^Fluorine`` or ``Ga68-PSMA``.

    Returns:
        A key of ``HALF_LIFE_S``, or ``None`` where none or several are named. A metastable one,
        such as ``Lu-177m``, is another nuclide, and none of them.
    """
    text = text.lower()
    pairs = [(word, mass) for mass, word in _MASS_FIRST.findall(text)]
    pairs += _MASS_LAST.findall(text)
    found = set()
    for word, mass in pairs:
        symbol = _ELEMENTS.get(word) or _SYMBOLS.get(word)
        if f"{symbol}-{mass}" in HALF_LIFE_S:
            found.add(f"{symbol}-{mass}")
    return found.pop() if len(found) == 1 else None


def nuclide_of_code(*, value: str, meaning: str) -> str | None:
    """Read a Radionuclide Code; its meaning goes before its value, which vendors mistake."""
    return nuclide_in_text(meaning) or _CODES.get(value)


def check_half_life(*, half_life_s: float, coded: str | None) -> HalfLifeCheck:
    """Hold a half-life against the table.

    Args:
        half_life_s: As the series gives it, s.
        coded: The nuclide that the series names, if any.

    Returns:
        The nuclide, by name or else by half-life, and the fault found.
    """
    if coded is not None:
        if _near(half_life_s, coded):
            return HalfLifeCheck(coded, "")
        expected_s = HALF_LIFE_S[coded]
        return HalfLifeCheck(
            coded,
            f"got {half_life_s:g} s where {coded} has {expected_s:g} s.{_hint(half_life_s, coded)}",
        )
    nearest = min(HALF_LIFE_S, key=lambda name: abs(half_life_s / HALF_LIFE_S[name] - 1.0))
    if _near(half_life_s, nearest):
        return HalfLifeCheck(nearest, "")
    for nuclide in HALF_LIFE_S:
        hint = _hint(half_life_s, nuclide)
        if hint:
            return HalfLifeCheck(None, f"got {half_life_s:g} s, of no nuclide known here.{hint}")
    return HalfLifeCheck(None, "")


def _near(half_life_s: float, nuclide: str) -> bool:
    return abs(half_life_s / HALF_LIFE_S[nuclide] - 1.0) <= LARGEST_DEVIATION


def _hint(half_life_s: float, nuclide: str) -> str:
    for factor, unit in ((_MIN, "minutes"), (_H, "hours"), (_D, "days"), (1e-3, "milliseconds")):
        if _near(half_life_s * factor, nuclide):
            return f" It looks like {unit} ({nuclide})."
    return ""
