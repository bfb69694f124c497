"""Biologically effective dose (BED): what a dose at low rate is worth.

BED = D (1 + G D / (α/β)). G, between 0 and 1, tells how much of the sublethal damage meets
more damage before it is repaired.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rpt_cohort import BadInput


@dataclass(frozen=True)
class Tissue:
    """What BED needs to know of a tissue."""

    alpha_beta_gy: float
    repair_half_time_h: float


KIDNEY = Tissue(alpha_beta_gy=2.5, repair_half_time_h=2.8)
"""As used for kidneys in radionuclide therapy since Barone et al., J Nucl Med 46 (2005) 99S,
and MIRD Pamphlet 20; the literature has α/β from 2.4 to 2.6 Gy. Not checked against the
papers' text here."""
OTHER = Tissue(alpha_beta_gy=3.0, repair_half_time_h=1.5)
"""Ours: a usual choice for late-responding tissue; lesions too, as prostate cancer's α/β is
low. State your own by ``--alpha-beta`` and ``--repair-half-time-h``."""

_KIDNEYS = ("kidney", "kidney_right", "kidney_left")


@dataclass(frozen=True)
class Tissues:
    """BED's parameters by region.

    Attributes:
        alpha_beta_gy: Region's name → α/β, Gy, where it is not the default.
        repair_half_time_h: Region's name → half-time of repair, h, likewise.
    """

    alpha_beta_gy: Mapping[str, float] = field(default_factory=dict)
    repair_half_time_h: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> Tissue:
        """Return a region's parameters: of ``kidney`` for both sides, of ``lesion`` for each."""
        base = KIDNEY if name in _KIDNEYS else OTHER
        group = "kidney" if name in _KIDNEYS else name
        group = "lesion" if name.startswith("lesion_") else group  # a kidney's cyst is no kidney
        return Tissue(
            _first(self.alpha_beta_gy, (name, group), base.alpha_beta_gy),
            _first(self.repair_half_time_h, (name, group), base.repair_half_time_h),
        )


def parse_by_region(words: Sequence[str], *, option: str, unit: str) -> dict[str, float]:
    """Read an option's ``NAME=NUMBER`` words.

    Args:
        words: As given, such as ``kidney=2.5``.

    Returns:
        Name → number above 0.

    Raises:
        BadInput: A word is of another form, a number not above 0, or a name twice.
    """
    found: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not (value > 0 and math.isfinite(value)):
            raise BadInput(
                f"{option} must be a region's name, = and a number above 0 {unit}, such as "
                f"kidney=2.5, got '{word}'."
            )
        if name in found:
            raise BadInput(f"{option} must name each region once, got '{name}' twice.")
        found[name] = value
    return found


def lea_catcheside(terms: Sequence[tuple[float, float]], *, repair_half_time_h: float) -> float:
    """Compute G of a dose rate that is a sum of exponentials, given once and for ever.

    With the rate Σ aᵢ e^(−λᵢ t) and μ = ln 2 / T_rep,
    G = 2/D² ∫ Ḋ(t) ∫₀ᵗ Ḋ(w) e^(−μ(t−w)) dw dt = 2/D² Σᵢⱼ aᵢ aⱼ / ((λᵢ + μ)(λᵢ + λⱼ)),
    D = Σ aᵢ/λᵢ. One exponential: T_rep / (T_rep + T_eff).

    Args:
        terms: (aᵢ, λᵢ): amplitude in any unit, negative for an uptake, and rate, 1/h.
        repair_half_time_h: T_rep, h.

    Returns:
        G, between 0 and 1.

    Raises:
        ValueError: No term, a rate or the half-time not above 0, or a total not above 0.

    Source: the double integral as in Baechler et al., Med Phys 35 (2008) 1123, which extends
    MIRD Pamphlet 20 (J Nucl Med 49 (2008) 1884) to several exponentials; its closed form is
    ours.
    """
    if not terms or not all(rate > 0 for _, rate in terms):
        raise ValueError("terms must be at least one, with rates above 0 1/h.")
    if not repair_half_time_h > 0:
        raise ValueError(f"repair_half_time_h must be above 0 h, got {repair_half_time_h!r} h.")
    total = sum(amplitude / rate for amplitude, rate in terms)
    if not total > 0:
        raise ValueError(f"The terms must integrate to a number above 0, got {total!r}.")
    repair_per_h = math.log(2.0) / repair_half_time_h
    pairs = sum(
        a * b / ((rate_a + repair_per_h) * (rate_a + rate_b))
        for a, rate_a in terms
        for b, rate_b in terms
    )
    return 2.0 * pairs / total**2


def bed_gy(*, dose_gy: float, g: float, alpha_beta_gy: float) -> float:
    """Compute the biologically effective dose of a mean dose, Gy.

    Args:
        g: From ``lea_catcheside``.

    Source: MIRD Pamphlet 20, J Nucl Med 49 (2008) 1884.
    """
    return dose_gy * (1.0 + g * dose_gy / alpha_beta_gy)


def _first(values: Mapping[str, float], names: Sequence[str], default: float) -> float:
    return next((values[name] for name in names if name in values), default)
