"""Lesions: bone metastases in the vertebrae and retroperitoneal lymph nodes.

Source: uptake and its fall over the cycles from the I&T population model in
`reference/clinical.md` (SUV 5–40; 73, 50 and 44 % of the first cycle). Number, place and
size are ours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rpt_phantom.spine import BODY_HALF_AXES_MM, COLUMN_Y_MM

MOST = 12
BONE_SHARE = 0.6
SUV_G_PER_ML = (5.0, 14.0, 40.0)  # least, median, most at the first cycle
DOSE_GY_PER_GBQ = (1.0, 2.2, 5.0)
LOG_STD = 0.55
LOG_CORRELATION = 0.7
UPTAKE_OF_FIRST = (1.0, 0.73, 0.50, 0.44)  # in cycles 1, 2, 3, 4 and later


@dataclass(frozen=True)
class Lesion:
    """One lesion of a patient, as it is at the first cycle.

    Attributes:
        centre_mm: In the spine's frame, mm.
        radius_mm: Of the sphere that it fills within its host, mm.
        in_bone: In a vertebra; else in the soft tissue before the spine.
        suv_g_per_ml: Mean SUV at the first cycle, g/mL.
        dose_gy_per_gbq: Mean absorbed dose at the first cycle, Gy/GBq.
    """

    centre_mm: Float[np.ndarray, "3"]
    radius_mm: float
    in_bone: bool
    suv_g_per_ml: float
    dose_gy_per_gbq: float


def uptake_of_first(cycle: int) -> float:
    """Return a lesion's uptake at ``cycle`` relative to cycle 1.

    Raises:
        ValueError: ``cycle`` is below 1.
    """
    if cycle < 1:
        raise ValueError(f"cycle must be 1 or above, got {cycle}.")
    return UPTAKE_OF_FIRST[min(cycle, len(UPTAKE_OF_FIRST)) - 1]


def draw_lesions(rng: np.random.Generator) -> list[Lesion]:
    """Draw a patient's lesions: 1 to 12, about five."""
    return [_draw_lesion(rng) for _ in range(min(1 + rng.poisson(4.0), MOST))]


def _draw_lesion(rng: np.random.Generator) -> Lesion:
    in_bone = bool(rng.random() < BONE_SHARE)
    angle = rng.uniform(0, 2 * np.pi)
    reach = 0.8 * np.sqrt(rng.random())
    bone_mm = np.array(
        [
            reach * np.cos(angle) * BODY_HALF_AXES_MM[0],
            COLUMN_Y_MM + reach * np.sin(angle) * BODY_HALF_AXES_MM[1],
            rng.uniform(-115.0, 115.0),
        ]
    )
    side = rng.choice([-1.0, 1.0])
    node_mm = np.array(
        [side * rng.uniform(8.0, 32.0), rng.uniform(-36.0, -22.0), rng.uniform(-115.0, 20.0)]
    )
    first, second = rng.standard_normal(2)
    second = LOG_CORRELATION * first + np.sqrt(1 - LOG_CORRELATION**2) * second
    return Lesion(
        centre_mm=bone_mm if in_bone else node_mm,
        radius_mm=float(np.clip(8.5 * np.exp(0.3 * rng.standard_normal()), 5.0, 18.0)),
        in_bone=in_bone,
        suv_g_per_ml=_clipped_log_normal(SUV_G_PER_ML, first),
        dose_gy_per_gbq=_clipped_log_normal(DOSE_GY_PER_GBQ, second),
    )


def _clipped_log_normal(bounds: tuple[float, float, float], deviate: float) -> float:
    least, median, most = bounds
    return float(np.clip(median * np.exp(LOG_STD * deviate), least, most))
