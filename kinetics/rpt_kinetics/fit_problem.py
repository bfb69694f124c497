"""The least-squares problem of one model and one region curve: residuals and their slopes."""

from dataclasses import dataclass, field

import numpy as np

from rpt_kinetics.basis import Scan
from rpt_kinetics.curves import RegionCurve
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.rates import UNITS, Rates

K1, K2, K3, K4, VB = UNITS
MODELS: dict[str, tuple[str, ...]] = {
    "1tcm": (K1, K2),
    "2tcm_irreversible": (K1, K2, K3),
    "2tcm": (K1, K2, K3, K4),
}
"""Each model's rate constants; those not named are 0."""


@dataclass(frozen=True, eq=False)
class FitProblem:
    """A curve, the scan it comes from, and what is to be fitted.

    Attributes:
        curve: In the input's unit. Shape (m,).
        scan: Its frames with the input function.
        model: A name of :data:`MODELS`.
        vb: V_b held at this share; None fits it.
        free: The fitted parameters' names, p of them.
    """

    curve: RegionCurve
    scan: Scan
    model: str
    vb: float | None
    free: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Name what is free."""
        free = MODELS[self.model] + ((VB,) if self.vb is None else ())
        object.__setattr__(self, "free", free)

    def rates(self, points: Floats) -> Rates:
        """Return the rate constants of points (..., p), in the order of ``free``."""
        values: dict[str, Floats | float] = {K1: 0.0, K2: 0.0, VB: self.vb or 0.0}
        values |= {name: points[..., index] for index, name in enumerate(self.free)}
        return Rates(**values)

    def residuals(self, point: Floats) -> Floats:
        """Return (model − activity) / standard deviation, shape (m,)."""
        fitted = self.scan.pet(self.rates(point))
        return (fitted - self.curve.activity) / self.curve.standard_deviation

    def jacobian(self, point: Floats) -> Floats:
        """Return the slopes of the residuals, (m, p): one-sided, so that no rate is ever below 0.

        (−3f(x) + 4f(x + h) − f(x + 2h)) / 2h is of second order; one call has all points.
        """
        step = 1e-5 * (point + self.scale())
        step[np.array(self.free) == VB] *= np.where(point[np.array(self.free) == VB] > 0.5, -1, 1)
        moves = np.diag(step)
        points = np.concatenate([point[np.newaxis], point + moves, point + 2.0 * moves])
        model = self.scan.pet(self.rates(points))
        count = len(self.free)
        slopes = -3.0 * model[0] + 4.0 * model[1 : count + 1] - model[count + 1 :]
        slopes /= 2.0 * step[:, np.newaxis]
        return np.asarray((slopes / self.curve.standard_deviation).T)

    def scale(self) -> Floats:
        """Return what is small for each parameter: 1/(scan's length) for rates, 0.1 for V_b."""
        frames = self.curve.frames
        slow = 1.0 / (frames.end_min[-1] - frames.injection_min)
        return np.array([0.1 if name == VB else slow for name in self.free])

    def upper(self) -> Floats:
        """Return the upper bounds; only V_b has one, just below 1."""
        return np.array([1.0 - 1e-6 if name == VB else np.inf for name in self.free])
