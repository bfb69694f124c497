"""A uniform sphere seen through a Gaussian blur: what of its activity a region of its size holds.

r is the sphere's radius and σ = FWHM/(2√(2 ln 2)) that of the blur; everything depends on r/σ.
Organs and lesions are taken as spheres of their volume, and the background as empty.
"""

import math

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def recovery_coefficient(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return the share of a sphere's activity that is seen inside its own outline.

    R = ∫₀²ʳ γ(s)·G(s)·4πs² ds, with the sphere's overlap function γ = 1 − 3s/(4r) + s³/(16r³) and
    the Gaussian G. Derived here (ours); R → 1 for large spheres. A measured recovery curve, where
    there is one, is better.

    Args:
        diameter_mm: 2r, mm, at least a tenth of the FWHM; below, digits cancel.
        fwhm_mm: Resolution, mm.
    """
    r = _radius_in_sigma(diameter_mm, fwhm_mm)
    second, third, fifth = _moments(2.0 * r)
    share = second - 3.0 * third / (4.0 * r) + fifth / (16.0 * r**3)
    return math.sqrt(2.0 / math.pi) * share


def recovery_exponent(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return d ln R/d ln v of :func:`recovery_coefficient`, v the volume; 0 for large spheres.

    Args:
        diameter_mm: 2r, mm.
        fwhm_mm: Resolution, mm.
    """
    r = _radius_in_sigma(diameter_mm, fwhm_mm)
    _, third, fifth = _moments(2.0 * r)
    slope = math.sqrt(2.0 / math.pi) * (3.0 * third / (4.0 * r**2) - 3.0 * fifth / (16.0 * r**4))
    return r / 3.0 * slope / recovery_coefficient(diameter_mm=diameter_mm, fwhm_mm=fwhm_mm)


def counts_exponent(*, diameter_mm: float, fwhm_mm: float) -> float:
    """Return d ln C/d ln v of the counts C in a region as its outline moves: φ/(2R).

    φ/2 is the density at the sphere's edge over that inside it: dC/dv is the density there.
    φ = erf(2r/(√2 σ)) − √(2/π)·σ/r·(1 − e^(−2r²/σ²)). About ½ for large spheres.

    Args:
        diameter_mm: 2r, mm.
        fwhm_mm: Resolution, mm.

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
