"""Directions in space: drawn, and turned by an angle."""

import numpy as np
from jaxtyping import Float


def isotropic(count: int, random: np.random.Generator) -> Float[np.ndarray, "3 n"]:
    """Draw unit vectors of no preferred direction."""
    cosine = random.uniform(-1.0, 1.0, count)
    azimuth = random.uniform(0.0, 2 * np.pi, count)
    sine = np.sqrt(1.0 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def turned(
    direction: Float[np.ndarray, "3 n"],
    cosine: Float[np.ndarray, " n"],
    random: np.random.Generator,
) -> Float[np.ndarray, "3 n"]:
    """Turn unit vectors by an angle each, in azimuth as chance has it.

    Args:
        direction: Unit vectors.
        cosine: Cosine of each angle.
        random: Draws the azimuths.

    Returns:
        Unit vectors.

    Source of the frame without a singular axis: Duff et al., J Comput Graph Tech 6 (2017) 1.
    """
    u, v, w = direction
    azimuth = random.uniform(0.0, 2 * np.pi, len(w))
    sine = np.sqrt(np.maximum(0.0, 1.0 - cosine**2))
    sign = np.copysign(1.0, w)
    a = -1.0 / (sign + w)
    b = u * v * a
    x, y = sine * np.cos(azimuth), sine * np.sin(azimuth)
    turned = np.stack(
        [
            x * (1.0 + sign * u**2 * a) + y * b + cosine * u,
            x * sign * b + y * (sign + v**2 * a) + cosine * v,
            -x * sign * u - y * v + cosine * w,
        ]
    )
    unit: Float[np.ndarray, "3 n"] = turned / np.sqrt((turned**2).sum(axis=0))
    return unit
