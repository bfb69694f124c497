"""Convolve a volume with a kernel of which one octant is given."""

import numpy as np
from jaxtyping import Float
from scipy import fft

Field = Float[np.ndarray, "x y z"]

WORKERS = 2
"""Threads of the Fourier transforms."""


def convolve_octant(field: Field, octant: Float[np.ndarray, "i j k"]) -> Field:
    """Convolve with a kernel that is alike in all octants; nothing wraps around.

    The kernel's spectrum is real and needs one octant only: the discrete cosine transform of
    type I is the Fourier transform of a sequence and its mirror image.

    Args:
        field: Values, at least 0; outside them lies 0.
        octant: The kernel at the offsets 0, 1, 2 … along each axis. Offsets that no two
            voxels of ``field`` have are not used.

    Returns:
        The convolution on the grid of ``field``, in its type; rounding below 0 becomes 0.
    """
    octant = octant[tuple(slice(0, n) for n in field.shape)]
    padded = tuple(
        _even_fast_length(n + m - 1) for n, m in zip(field.shape, octant.shape, strict=True)
    )
    half = tuple(n // 2 + 1 for n in padded)
    room = [(0, h - n) for h, n in zip(half, octant.shape, strict=True)]
    spectrum = fft.rfftn(field.astype(np.float64), padded, workers=WORKERS)
    of_kernel = fft.dctn(np.pad(octant, room), type=1, workers=WORKERS)
    mirror = [np.r_[0:h, h - 2 : 0 : -1] for h in half[:2]]
    spectrum *= of_kernel[np.ix_(*mirror, np.arange(half[2]))]
    whole = fft.irfftn(spectrum, padded, workers=WORKERS, overwrite_x=True)
    inside = whole[tuple(slice(0, n) for n in field.shape)]
    result: Field = np.maximum(inside, 0.0).astype(field.dtype)
    return result


def _even_fast_length(at_least: int) -> int:
    length = int(fft.next_fast_len(at_least, real=True))
    while length % 2:
        length = int(fft.next_fast_len(length + 1, real=True))
    return length
