"""Basis functions of a scan: the plasma sent through e^(−θt), and non-negative sums of them.

Every linear tissue is a sum of such functions with amplitudes at least 0, and of blood. Over a
grid of θ the best sum is a small linear problem, which finds where to start a fit and, voxel by
voxel, is the fit (Gunn et al., NeuroImage 6 (1997) 279, for the reference-tissue model).
"""

from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.frames import Frames
from rpt_kinetics.inputs import InputFunction
from rpt_kinetics.models import pet_frame_mean
from rpt_kinetics.rates import Rates

# Ours: θ from a twentieth of 1/(scan's length) to 3/(shortest frame); beyond, frames see nothing.
SLOWEST_PER_SCAN = 0.05
FASTEST_PER_FRAME = 3.0
# Determinant of the normalised columns' products; below, some columns are as good as one.
SMALLEST_DETERMINANT = 1e-12


@dataclass(frozen=True, eq=False)
class Scan:
    """What the model of a scan needs: frames, the input on their clock, the isotope's half-life.

    Attributes:
        frames: Shape (m,).
        input_function: Corrected for decay to the injection, later by the injection's time.
        half_life_min: Physical half-life, min; ``inf`` averages frames plainly.
    """

    frames: Frames
    input_function: InputFunction
    half_life_min: float = np.inf

    @staticmethod
    def of(
        frames: Frames,
        input_function: InputFunction,
        *,
        half_life_min: float = np.inf,
        delay_min: float = 0.0,
    ) -> "Scan":
        """Put an input, whose time 0 is the injection, on the frames' clock.

        Args:
            frames: Shape (m,).
            input_function: Corrected for decay.
            half_life_min: Physical half-life, min.
            delay_min: How much later blood arrives here than where it was sampled, min.

        Raises:
            BadInput: The input brings nothing before the last frame ends, or is not corrected
                for decay, or the delay is negative.
        """
        moved = input_function.delayed(delay_min).delayed(frames.injection_min)
        scan = Scan(frames, moved, half_life_min)
        if not np.any(scan.bases(np.zeros(1)) > 0):
            raise BadInput(
                f"The input function '{input_function.name}' must bring activity before the last "
                f"frame ends at {frames.end_min[-1]:g} min, and is 0 until then. "
                "Check the time zero and the units of its times."
            )
        return scan

    def pet(self, rates: Rates) -> Floats:
        """Return the means of C_PET over the frames, shape (*S, m)."""
        frames = self.frames
        return pet_frame_mean(
            rates,
            self.input_function,
            frames.start_min,
            frames.end_min,
            half_life_min=self.half_life_min,
        )

    def bases(self, theta_per_min: Floats) -> Floats:
        """Return the plasma sent through e^(−θt) for each θ, the input's unit·min, (g, m)."""
        return self.pet(Rates(k1_ml_per_min_per_ml=1.0, k2_per_min=theta_per_min))

    def blood(self) -> Floats:
        """Return the blood itself, the input's unit, shape (m,)."""
        return 2.0 * self.pet(Rates(k1_ml_per_min_per_ml=0.0, k2_per_min=0.0, vb=0.5))

    def theta_grid_per_min(self, *, log_step: float) -> Floats:
        """Return θ from the slowest to the fastest that the frames can see, 1/min, shape (g,)."""
        frames = self.frames
        slowest = SLOWEST_PER_SCAN / (frames.end_min[-1] - frames.injection_min)
        fastest = FASTEST_PER_FRAME / (frames.end_min - frames.start_min).min()
        count = int(np.ceil(np.log(fastest / slowest) / log_step)) + 1
        return np.geomspace(slowest, fastest, count)


def best_amplitudes(gram: Floats, projection: Floats) -> tuple[Floats, Floats]:
    """Solve least squares with amplitudes at least 0, by trying every set of columns.

    Args:
        gram: XᵀX of the weighted columns X. Shape (..., c, c), c up to 3.
        projection: Xᵀy of the weighted data. Shape (..., c); broadcasts with ``gram``.

    Returns:
        Amplitudes (..., c), and how much they lower the sum of squares (...).
    """
    columns = gram.shape[-1]
    shape = np.broadcast_shapes(gram.shape[:-1], projection.shape)
    amplitudes, lowered = np.zeros(shape), np.zeros(shape[:-1])
    sizes = range(1, columns + 1)
    for chosen in chain.from_iterable(combinations(range(columns), size) for size in sizes):
        inverse = _inverse(gram[..., chosen, :][..., chosen])
        onto = projection[..., chosen]
        values = [
            sum(inverse[..., i, j] * onto[..., j] for j in range(len(chosen)))
            for i in range(len(chosen))
        ]
        gain = sum(value * onto[..., i] for i, value in enumerate(values))
        better = gain > lowered
        for value in values:
            better &= value >= 0
        lowered = np.where(better, gain, lowered)
        for column in range(columns):
            new = values[chosen.index(column)] if column in chosen else 0.0
            amplitudes[..., column] = np.where(better, new, amplitudes[..., column])
    return amplitudes, lowered


def _inverse(gram: Floats) -> Floats:
    # NaN where columns are as good as one; a comparison with NaN is false, so it is not chosen.
    norm = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    safe = np.where(norm > 0, norm, 1.0)
    scale = safe[..., :, np.newaxis] * safe[..., np.newaxis, :]
    normalised = gram / scale
    bad = (norm <= 0).any(axis=-1) | (np.linalg.det(normalised) < SMALLEST_DETERMINANT)
    usable = np.where(bad[..., np.newaxis, np.newaxis], np.eye(gram.shape[-1]), normalised)
    inverse = np.linalg.inv(usable) / scale
    return np.where(bad[..., np.newaxis, np.newaxis], np.nan, inverse)
