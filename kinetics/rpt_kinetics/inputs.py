"""Input functions: what the arteries bring, each with its unit, its source and what it assumes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rpt_kinetics.curves import Curve, exponential_curve
from rpt_kinetics.dose import F18_HALF_LIFE_MIN, GA68_HALF_LIFE_MIN, LU177_HALF_LIFE_MIN

LN2 = float(np.log(2.0))
Measured = Literal["plasma", "blood"]

HALF_LIVES = (
    f"68Ga is {GA68_HALF_LIFE_MIN:g} min, 18F {F18_HALF_LIFE_MIN:g} min, "
    f"177Lu {LU177_HALF_LIFE_MIN:.1f} min (6.647 d)"
)
# Ours: no isotope of a patient lives shorter, and arithmetic overflows far beyond both.
HALF_LIFE_RANGE_MIN = (1e-3, 1e12)
# Ours: from a newborn mouse to an elephant.
WEIGHT_RANGE_KG = (1e-3, 1e4)

FENG_SOURCE = "Feng, Huang & Wang, Int J Biomed Comput 32 (1993) 95, model 2 (FDG)"
KABASAKAL_SOURCE = "Kabasakal et al., Mol Imaging Radionucl Ther 26 (2017) 62 (half-lives)"
SIEBINGA_SOURCE = (
    "six-exponential solution of the population model of Siebinga et al. 2023 (PMC10431047), "
    "not checked against the paper"
)

EQUAL = "plasma and blood are equal"

# %IA/L against half-life, h. The amplitudes and half-lives follow from the model's typical values.
SIEBINGA_PERCENT_IA_PER_L = (6.53, 3.01, 0.139, 0.0231, 0.0088, 0.0004)
SIEBINGA_HALF_LIFE_H = (0.345, 5.24, 28.3, 51.1, 23.3, 76.9)

# Ours: 100 % in 5 L of blood at the injection, and Siebinga's 0.22 %IA/L at 24 h.
KABASAKAL_PERCENT_IA_PER_L = (19.0, 1.0)
KABASAKAL_HALF_LIFE_H = (0.16, 10.8)


@dataclass(frozen=True, kw_only=True, eq=False)
class InputFunction:
    """What the arteries bring to a tissue: plasma feeds it, blood fills its vessels.

    Attributes:
        name: Short name, for tables and JSON.
        plasma: Concentration in arterial plasma over time, ``unit``.
        blood: Concentration in whole arterial blood over time, ``unit``.
        unit: Unit of both, such as ``SUV (g/mL)``, ``%IA/L`` or ``Bq/mL``.
        measured: Which of the two the source gives; the other follows by an assumed ratio.
        decay_corrected: Whether both are corrected for decay to the injection.
        assumptions: What no source states, in sentences.
        source: Where the curve comes from.
    """

    name: str
    plasma: Curve
    blood: Curve
    unit: str
    measured: Measured
    decay_corrected: bool
    assumptions: tuple[str, ...]
    source: str

    def scaled(self, factor: float, *, unit: str) -> "InputFunction":
        """Return the input in another ``unit``, ``factor`` times as large."""
        return replace(
            self, plasma=self.plasma.scaled(factor), blood=self.blood.scaled(factor), unit=unit
        )


def decay_rate_per_min(half_life_min: float) -> float:
    """Return ln 2 / half-life, 1/min; 0 for ``inf`` (no physical decay).

    Raises:
        ValueError: The half-life is not above 0 min, or outside :data:`HALF_LIFE_RANGE_MIN`.
    """
    least, most = HALF_LIFE_RANGE_MIN
    if not (least <= half_life_min <= most or half_life_min == np.inf):
        must = f"from {least:g} to {most:g} min" if half_life_min > 0 else "above 0 min"
        raise ValueError(
            f"half_life_min must be {must}, got {half_life_min!r} min. {HALF_LIVES}; inf "
            "switches the decay off."
        )
    return LN2 / half_life_min


def feng() -> InputFunction:
    """Return Feng's plasma curve of a bolus of FDG, with the published pairing of its terms.

    (851.1 t − 21.88 − 20.81) e^(−4.134 t) + 21.88 e^(−0.1191 t) + 20.81 e^(−0.01043 t), t in
    min. A public copy swaps the two slow terms; then it is 5 % higher at 60 min.
    """
    plasma = exponential_curve(
        constant=[-21.88 - 20.81, 21.88, 20.81],
        slope=[851.1, 0.0, 0.0],
        rate_per_min=[4.134, 0.1191, 0.01043],
    )
    return InputFunction(
        name="feng",
        plasma=plasma,
        blood=plasma,
        unit="uCi/mL",
        measured="plasma",
        decay_corrected=True,
        assumptions=("taken as corrected for decay, as it is commonly used", EQUAL),
        source=FENG_SOURCE,
    )


def kabasakal() -> InputFunction:
    """Return a blood curve of [177Lu]Lu-PSMA-617 with the measured half-lives 0.16 and 10.8 h.

    No amplitude is published; these are ours: 20 %IA/L (5 L of blood) at the injection, and the
    0.22 %IA/L of Siebinga's curve at 24 h.
    """
    return _blood_curve(
        "kabasakal",
        percent_ia_per_l=KABASAKAL_PERCENT_IA_PER_L,
        half_life_h=KABASAKAL_HALF_LIFE_H,
        assumptions=(
            "both amplitudes, {:g} and {:g} %IA/L, are assumed".format(*KABASAKAL_PERCENT_IA_PER_L),
            "taken as corrected for decay",
            EQUAL,
        ),
        source=KABASAKAL_SOURCE,
    )


def siebinga() -> InputFunction:
    """Return the blood curve of the Siebinga population model: 3.7 %IA/L at 1 h, 0.22 at 24 h."""
    return _blood_curve(
        "siebinga",
        percent_ia_per_l=SIEBINGA_PERCENT_IA_PER_L,
        half_life_h=SIEBINGA_HALF_LIFE_H,
        assumptions=("taken as corrected for decay", EQUAL),
        source=SIEBINGA_SOURCE,
    )


def _blood_curve(
    name: str,
    *,
    percent_ia_per_l: tuple[float, ...],
    half_life_h: tuple[float, ...],
    assumptions: tuple[str, ...],
    source: str,
) -> InputFunction:
    blood = exponential_curve(
        constant=percent_ia_per_l, rate_per_min=LN2 / (60.0 * np.asarray(half_life_h))
    )
    return InputFunction(
        name=name,
        plasma=blood,
        blood=blood,
        unit="%IA/L",
        measured="blood",
        decay_corrected=True,
        assumptions=assumptions,
        source=source,
    )


def percent_ia_per_l_to_suv(input_function: InputFunction, *, weight_kg: float) -> InputFunction:
    """Convert a curve in %IA/L to SUV: activity per mL over injected activity per g of patient.

    Raises:
        ValueError: The curve is in another unit, or the weight is not above 0 kg or beyond what
            an animal weighs.
    """
    least, most = WEIGHT_RANGE_KG
    if not least <= weight_kg <= most:
        raise ValueError(
            f"weight_kg must be from {least:g} to {most:g} kg, got {weight_kg!r} kg. "
            "Check its unit."
        )
    if input_function.unit != "%IA/L":
        raise ValueError(
            f"The input function '{input_function.name}' must be in %IA/L to become an SUV, got "
            f"{input_function.unit}. Divide a concentration by the injected activity first."
        )
    return input_function.scaled(weight_kg / 100.0, unit=SUV)


SUV = "SUV (g/mL)"
NamedInput = Literal["feng", "kabasakal", "siebinga"]
NAMED_INPUTS: dict[NamedInput, Callable[[], InputFunction]] = {
    "feng": feng,
    "kabasakal": kabasakal,
    "siebinga": siebinga,
}
