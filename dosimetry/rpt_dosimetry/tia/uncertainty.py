"""The uncertainty of a region's absorbed dose, from calibration, volume, recovery and fit.

The mean dose is D = S(v)·Ã, and the time-integrated activity Ã is proportional to C(v)/(Q·R(v)):
counts C within the outline, calibration Q, recovery coefficient R, volume v. To first order

    u²(D)/D² = u²(Q)/Q² + u²_b(R)/R² + u²_fit(Ã)/Ã² + (c − ρ − s)²·u²(v)/v²

with c = d ln C/d ln v = φ/(2R), ρ = d ln R/d ln v and −s = d ln S/d ln v. One wrong outline
changes counts, recovery and mass together; the last bracket holds their covariances, which are
the terms −2u(C,R)/(CR) and 2u(Ã,S)/(ÃS) of the guidance, written as one square. Calibration and
volume are the same at all times, so they go straight into Ã and not through the fit. For φ and R
organs and lesions are taken as spheres of their volume of radius r, seen through a Gaussian blur
of σ = FWHM/(2√(2 ln 2)), the background as empty; everything depends on r/σ.

Source: Gear et al., EANM practical guidance on uncertainty analysis for molecular radiotherapy
absorbed dose calculations, Eur J Nucl Med Mol Imaging 45 (2018) 2456, whose chain this is. Its
structure was checked against the abstract; the full text could not be read here, so the terms
are ours to answer for, each derived anew and tested against a numerical model, and equation
numbers are not given.
"""

import math
from dataclasses import dataclass

from rpt_cohort import BadInput

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def recovery_coefficient(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return the share of a sphere's activity that is seen inside its own outline.

    R = ∫₀²ʳ γ(s)·G(s)·4πs² ds, with the sphere's overlap function γ = 1 − 3s/(4r) + s³/(16r³) and
    the Gaussian G. Derived here (ours); R → 1 for large spheres. A measured recovery curve, where
    there is one, is better. Below a tenth of the FWHM digits cancel.
    """
    r = _radius_in_sigma(diameter_mm, fwhm_mm)
    second, third, fifth = _moments(2.0 * r)
    share = second - 3.0 * third / (4.0 * r) + fifth / (16.0 * r**3)
    return math.sqrt(2.0 / math.pi) * share


def recovery_exponent(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return d ln R/d ln v of :func:`recovery_coefficient`, v the volume; 0 for large spheres."""
    r = _radius_in_sigma(diameter_mm, fwhm_mm)
    _, third, fifth = _moments(2.0 * r)
    slope = math.sqrt(2.0 / math.pi) * (3.0 * third / (4.0 * r**2) - 3.0 * fifth / (16.0 * r**4))
    return r / 3.0 * slope / recovery_coefficient(diameter_mm=diameter_mm, fwhm_mm=fwhm_mm)


def counts_exponent(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return d ln C/d ln v of the counts C in a region as its outline moves: φ/(2R).

    φ/2 is the density at the sphere's edge over that inside it: dC/dv is the density there.
    φ = erf(2r/(√2 σ)) − √(2/π)·σ/r·(1 − e^(−2r²/σ²)). About ½ for large spheres.

    Source: the relation u(C)/C = φ/(2R)·u(v)/v is that of Gear et al., Eur J Nucl Med Mol Imaging
    45 (2018) 2456; φ was derived here from the density at the edge.
    """
    r = _radius_in_sigma(diameter_mm, fwhm_mm)
    edge = math.sqrt(2.0 / math.pi) / r * -math.expm1(-2.0 * r**2)
    phi = math.erf(math.sqrt(2.0) * r) - edge
    return phi / (2.0 * recovery_coefficient(diameter_mm=diameter_mm, fwhm_mm=fwhm_mm))


def _radius_in_sigma(diameter_mm: float, fwhm_mm: float) -> float:
    return 0.5 * diameter_mm / fwhm_mm * FWHM_PER_SIGMA


def _moments(end: float) -> tuple[float, float, float]:
    """∫₀ᵉⁿᵈ sⁿ e^(−s²/2) ds for n = 2, 3 and 5."""
    left = math.exp(-0.5 * end**2)
    second = math.sqrt(math.pi / 2.0) * math.erf(end / math.sqrt(2.0)) - end * left
    third = 2.0 - (end**2 + 2.0) * left
    fifth = 8.0 - (end**4 + 4.0 * end**2 + 8.0) * left
    return second, third, fifth


NORMAL_95 = 1.96
"""Standard deviations on either side that hold 95 % of a normal distribution."""

S_EXPONENT = 1.0
"""−d ln S/d ln m of self-dose. Ours: Lu-177 spheres of 2.21 to 932 g, 1.06e-2 to 2.65e-5
mGy/(MBq s), give 0.99; electrons alone give 1."""

SMALLEST_DIAMETER_OF_FWHM = 0.5
"""Below it the image does not tell the outline, and first-order propagation means nothing. Ours."""


@dataclass(frozen=True)
class Uncertainty:
    """Relative standard uncertainty (1 SD) of the dose, and its parts; None where one is unknown.

    Attributes:
        volume: From the outline, through counts, recovery and mass together.
        recovery: From the recovery curve at a given volume; 0 where no recovery is corrected.
        fit: Of the time–activity fit; unknown where no point is left over.
        total: Root of the sum of squares of the parts, the outline's only where it is known;
            None where the calibration's or the fit's is not.
        total_95: Half of the 95 % interval, likewise: with one or two points left over far more
            than twice ``total``.
    """

    calibration: float | None
    volume: float | None
    recovery: float
    fit: float | None
    total: float | None = None
    total_95: float | None = None


def volume_relative_sd(*, volume_ml: float, voxel_mm: float, fwhm_mm: float) -> float:
    """Return u(v)/v = 3u(d)/d of a region outlined on an image, taken as a sphere.

    u²(d) = a²/6 + w²/(4 ln 2): each end of the diameter d lies within a voxel of side a
    (rectangular distribution, a²/12) and is blurred by the FWHM w (σ² = w²/(8 ln 2)).

    Args:
        volume_ml: Volume, mL.
        voxel_mm: Voxel side a, mm; of an anisotropic voxel the cube root of its volume.
        fwhm_mm: Resolution w of the image that was outlined, mm (of the CT if that was).

    Returns:
        Relative, 1 SD.

    Raises:
        BadInput: A value is not above 0.

    Source: Gear et al. 2018, as remembered: the text could not be read here; a²/12 and w²/(8 ln 2)
    at each end are derived in the line above.
    """
    for name, value in (("volume_ml", volume_ml), ("voxel_mm", voxel_mm), ("fwhm_mm", fwhm_mm)):
        if not (math.isfinite(value) and value > 0):
            raise BadInput(f"{name} must be a finite number above 0, got {value!r}.")
    diameter_sd_mm = math.sqrt(voxel_mm**2 / 6.0 + fwhm_mm**2 / (4.0 * math.log(2.0)))
    return 3.0 * diameter_sd_mm / diameter_mm(volume_ml=volume_ml)


def diameter_mm(*, volume_ml: float) -> float:
    """Return the diameter of the sphere of a volume, mm."""
    return math.cbrt(6.0 * volume_ml * 1000.0 / math.pi)


def combine(
    *,
    volume_ml: float,
    voxel_mm: float,
    fwhm_mm: float | None,
    calibration_relative_sd: float | None,
    fit_relative_sd: float | None,
    fit_relative_95: float | None = None,
    recovery_relative_sd: float | None = None,
) -> Uncertainty:
    """Combine the parts to the uncertainty of a region's mean self-dose.

    Args:
        volume_ml: Of the region, taken as a sphere.
        voxel_mm: Voxel side; of an anisotropic voxel the cube root of its volume.
        fwhm_mm: Resolution of the activity image, which was outlined; None leaves the volume's
            part out.
        calibration_relative_sd: u(Q)/Q; None if not known.
        fit_relative_sd: u(Ã)/Ã of the time-activity fit; None if not known.
        fit_relative_95: Half of the fit's 95 % interval, likewise.
        recovery_relative_sd: u(R)/R of the recovery curve; None where no recovery is corrected.
            (The bias that is then left is no part of an uncertainty.)

    Raises:
        BadInput: A size is not above 0, a deviation is negative, or the region is too small.
    """
    calibration, fit = calibration_relative_sd, fit_relative_sd
    parts = (calibration or 0.0, recovery_relative_sd or 0.0, fit or 0.0)
    if not all(math.isfinite(part) and part >= 0 for part in parts):
        raise BadInput(
            "The relative standard deviations of calibration, recovery and fit must be finite and "
            f"at least 0, got {', '.join(f'{part:g}' for part in parts)}. 5 % is 0.05."
        )
    volume = None
    if fwhm_mm is not None:
        outline = volume_relative_sd(volume_ml=volume_ml, voxel_mm=voxel_mm, fwhm_mm=fwhm_mm)
        recovered = recovery_relative_sd is not None
        volume = outline * abs(
            volume_exponent(volume_ml=volume_ml, fwhm_mm=fwhm_mm, recovered=recovered)
        )
    total, total_95 = None, None
    if calibration is not None and fit is not None:
        known = math.hypot(volume or 0.0, calibration, recovery_relative_sd or 0.0)
        total = math.hypot(known, fit)
        if fit_relative_95 is not None:
            total_95 = math.hypot(NORMAL_95 * known, fit_relative_95)
    return Uncertainty(calibration, volume, recovery_relative_sd or 0.0, fit, total, total_95)


def volume_exponent(*, volume_ml: float, fwhm_mm: float, recovered: bool) -> float:
    """Return d ln D/d ln v = c − ρ − s: how a wrong outline goes into the dose.

    Args:
        recovered: Whether the activity was divided by a recovery coefficient of that volume.

    Raises:
        BadInput: The region's diameter is below half the resolution, or a size is not above 0.
    """
    if not (math.isfinite(fwhm_mm) and fwhm_mm > 0):
        raise BadInput(f"fwhm_mm must be a finite number above 0 mm, got {fwhm_mm!r} mm.")
    size_mm = diameter_mm(volume_ml=volume_ml)
    if size_mm < SMALLEST_DIAMETER_OF_FWHM * fwhm_mm:
        raise BadInput(
            f"A region must be at least half the resolution of {fwhm_mm:g} mm across, got "
            f"{size_mm:.1f} mm ({volume_ml:g} mL). Its dose has no stated uncertainty."
        )
    exponent = counts_exponent(diameter_mm=size_mm, fwhm_mm=fwhm_mm) - S_EXPONENT
    if recovered:
        exponent -= recovery_exponent(diameter_mm=size_mm, fwhm_mm=fwhm_mm)
    return exponent
