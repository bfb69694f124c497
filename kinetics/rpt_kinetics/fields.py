"""Chance for voxels: Gaussian random fields, and draws of positive quantities from them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfftn, rfftn
from scipy.special import ndtr, ndtri

from rpt_kinetics.exponentials import Floats
from rpt_kinetics.study_parameters import Distribution

# Beyond this many SD a normal distribution has less mass than double precision resolves.
NO_MASS = 9.0
# A spread below this share is lost in rounding.
NO_SPREAD = 1e-15
LARGEST_SHARE = float(np.nextafter(1.0, 0.0))


def gaussian_field(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    correlation_length_mm: float,
    spacing_mm: float,
) -> Floats:
    """Draw a field of mean 0, variance 1 and autocorrelation exp(−d²/L²).

    White noise is multiplied, in Fourier space, by the root of the covariance's transform
    (circulant embedding). The covariance is a sum over the periodic images of the grid, hence
    exact on it; at L = 0 the field is the white noise itself.

    Args:
        shape: Of the grid, on which the field is periodic.
        rng: Source of chance.
        correlation_length_mm: L, where the autocorrelation is 1/e, mm.
        spacing_mm: Edge of a voxel, mm.

    Source: Dietrich & Newsam, SIAM J Sci Comput 18 (1997) 1088.
    """
    noise = rng.standard_normal(shape)
    length = correlation_length_mm / spacing_mm
    if length == 0:
        return noise
    x, y, z = (np.sqrt(_spectrum(n, length)) for n in shape)
    half = shape[2] // 2 + 1
    filtered = rfftn(noise) * (x[:, None, None] * y[:, None] * z[:half])
    return np.asarray(irfftn(filtered, s=shape))


def periodic_autocorrelation(count: int, length: float) -> Floats:
    """Return exp(−d²/L²) summed over the periodic images of a line of voxels, 1 at d = 0.

    Args:
        count: Voxels in the line.
        length: L in voxels, above 0.
    """
    images = np.arange(-int(np.ceil(7 * length / count)) - 1, int(np.ceil(7 * length / count)) + 2)
    distance = np.arange(count)[:, None] + count * images
    covariance = np.exp(-((distance / length) ** 2)).sum(axis=1)
    return np.asarray(covariance / covariance[0])


def _spectrum(count: int, length: float) -> Floats:
    # Real and above 0 in theory; the highest frequencies are lost in rounding.
    return np.maximum(np.fft.fft(periodic_autocorrelation(count, length)).real, 0.0)


def drawn(
    mean: Floats,
    chance: Floats,
    *,
    cv: float,
    distribution: Distribution,
    upper: float = np.inf,
) -> Floats:
    """Turn standard normal chance into a quantity that is at least 0 and below ``upper``.

    "truncated_normal" is the normal of that mean and SD = cv·mean, cut off at 0 and ``upper``
    (which moves the mean of a wide one); "log_normal" has that mean and SD, cut off at ``upper``.
    The order of the chance is kept, so a field stays as smooth as it is.

    Args:
        mean: Shape (n,), any unit, at least 0.
        chance: Standard normal, shape (n,).
        cv: SD over mean.
        distribution: One of the two.
        upper: Where the distribution ends, in the unit of ``mean``.
    """
    if cv < NO_SPREAD:
        return mean.copy()
    # Where the mean is 0 everything is, whatever the limits.
    with np.errstate(over="ignore"):
        relative_upper = np.divide(upper, mean, out=np.full_like(mean, np.inf), where=mean > 0)
        normal_upper = (relative_upper - 1.0) / cv
    if distribution == "truncated_normal":
        inside = _truncated(chance, -1.0 / cv, normal_upper)
        # The limit itself may round to just below 0.
        return np.asarray(mean * np.maximum(1.0 + cv * inside, 0.0))
    log_std = np.sqrt(np.log1p(cv**2))
    inside = _truncated(chance, -np.inf, (np.log(relative_upper) + log_std**2 / 2) / log_std)
    return np.asarray(mean * np.exp(log_std * inside - log_std**2 / 2))


def _truncated(chance: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """Map standard normal numbers to the standard normal between ``low`` and ``high``."""
    if np.max(low) < -NO_MASS and np.min(high) > NO_MASS:
        return np.asarray(chance)
    share = ndtr(low) + ndtr(chance) * (ndtr(high) - ndtr(low))
    return np.asarray(ndtri(np.minimum(share, LARGEST_SHARE)))
