"""What left the body between the planar scan and the SPECT, beside physical decay.

The planar scan is taken before any excretion, so all that was administered is on it. Later
excretion is modelled by a half-life, told as a fraction, or bounded. That it leaves the field of
view and the rest of the body in equal shares is ours.
"""

import math
from dataclasses import dataclass

from rpt_cohort import BadInput


@dataclass(frozen=True)
class Retention:
    """Which fraction was still in the body at the SPECT, decay apart.

    Attributes:
        fraction: From 0 to 1.
        relative_sd: Standard uncertainty over ``fraction``; ``None`` where it is not known.
        method: How it was found.
    """

    fraction: float
    relative_sd: float | None
    method: str


def retained_by_half_life(
    *, elapsed_h: float, biological_h: float, relative_sd: float | None = None
) -> Retention:
    """Model excretion by one exponential.

    Args:
        elapsed_h: Planar scan to SPECT, h.
        biological_h: Biological half-life of the whole body, h; ``inf`` for no excretion.
        relative_sd: Of the half-life.

    Raises:
        BadInput: A value is out of range.
    """
    if not 0 <= elapsed_h < math.inf:
        raise BadInput(f"The planar scan must not be after the SPECT, got {elapsed_h!r} h between.")
    if not biological_h > 0:
        raise BadInput(f"biological_h must be above 0 h, got {biological_h!r} h.")
    lost = math.log(2.0) * elapsed_h / biological_h
    # d(ln R) / d(ln T) = λt, to first order.
    sd = None if relative_sd is None else lost * _sd(relative_sd)
    return Retention(math.exp(-lost), sd, "biological half-life")


def biological_half_life_h(*, effective_h: float, physical_h: float) -> float:
    """Take physical decay out of an effective half-life.

    Args:
        effective_h: Effective half-life of the whole body, h.
        physical_h: Physical half-life, h.

    Raises:
        BadInput: The effective half-life is not above 0 h and at most the physical one.
    """
    if not 0 < effective_h <= physical_h:
        raise BadInput(
            f"effective_h must be above 0 and at most the physical {physical_h:g} h, got "
            f"{effective_h!r} h."
        )
    rate_per_h = 1.0 / effective_h - 1.0 / physical_h
    return 1.0 / rate_per_h if rate_per_h > 0 else math.inf


def retained_after(*, excreted_fraction: float, sd: float | None = None) -> Retention:
    """Take a measured excretion, such as that of collected urine.

    Args:
        excreted_fraction: Of the activity in the body at the planar scan, decay-corrected.
        sd: Its standard uncertainty, absolute.

    Raises:
        BadInput: A value is out of range.
    """
    retained = 1.0 - _fraction("excreted_fraction", excreted_fraction)
    relative_sd = None if sd is None else _sd(sd) / retained
    return Retention(retained, relative_sd, "excreted fraction")


def retained_within(*, at_most_excreted: float) -> Retention:
    """Bound excretion between none and a largest fraction.

    Args:
        at_most_excreted: Of the activity in the body at the planar scan, decay-corrected.

    Returns:
        The middle of the bounds, with the standard uncertainty of a rectangle, half-width / √3.

    Raises:
        BadInput: It is out of range.

    Source: JCGM 100:2008 (GUM), 4.3.7, for the rectangle.
    """
    half = _fraction("at_most_excreted", at_most_excreted) / 2.0
    return Retention(1.0 - half, half / math.sqrt(3.0) / (1.0 - half), "bounds")


def _fraction(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise BadInput(f"{name} must be a fraction from 0 to below 1, got {value!r}. 5 % is 0.05.")
    return value


def _sd(value: float) -> float:
    if not 0 <= value < math.inf:
        raise BadInput(f"A standard uncertainty must be 0 or above, got {value!r}.")
    return value
