"""Vertebrae from T1 to L5 and the sacrum, stacked along a straight column.

Source: ids from TotalSegmentator v2 `total`; heights rounded from adult anatomy, ours.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

SACRUM, L5, T12, T1 = 25, 27, 32, 43
LUMBAR_MM, LOWER_THORACIC_MM, UPPER_THORACIC_MM = 35.0, 29.0, 25.0  # with the disc below
DISC_MM = 7.0
COLUMN_Y_MM = -60.0
BODY_HALF_AXES_MM = (24.0, 18.0)  # x, y of a vertebral body
PROCESS_Y_MM, PROCESS_HALF_AXES_MM = -94.0, (7.0, 13.0)


def vertebra_levels_mm() -> dict[int, tuple[float, float]]:
    """Return each vertebra's lower and upper end, mm; T12 stands on z = 0."""
    levels = {L5 + n: ((n - 5) * LUMBAR_MM, (n - 4) * LUMBAR_MM) for n in range(5)}
    levels[SACRUM] = (-400.0, -5 * LUMBAR_MM)
    bottom = 0.0
    for vertebra in range(T12, T1 + 1):
        height = LOWER_THORACIC_MM if vertebra < T12 + 4 else UPPER_THORACIC_MM
        levels[vertebra] = (bottom, bottom + height)
        bottom += height
    return levels


def is_vertebra(organs: UInt8[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Return where ``organs`` is the sacrum or a vertebra."""
    bone: Bool[np.ndarray, "*shape"] = (organs >= SACRUM) & (organs <= T1)
    return bone


def paint_vertebrae(
    organs: UInt8[np.ndarray, "x y z"], axes_mm: tuple[Float[np.ndarray, "..."], ...]
) -> None:
    """Write the vertebrae's ids into ``organs``, over whatever is there.

    Args:
        organs: Ids, changed in place.
        axes_mm: Positions along x, y, z in the patient's frame, mm, broadcastable.
    """
    x, y, z = axes_mm
    a, b = BODY_HALF_AXES_MM
    c, d = PROCESS_HALF_AXES_MM
    column = (x / a) ** 2 + ((y - COLUMN_Y_MM) / b) ** 2 <= 1
    process = (x / c) ** 2 + ((y - PROCESS_Y_MM) / d) ** 2 <= 1
    across = (column | process)[:, :, 0]
    for vertebra, (bottom_mm, top_mm) in vertebra_levels_mm().items():
        along = (z[0, 0] >= bottom_mm + DISC_MM) & (z[0, 0] < top_mm)
        organs[across[:, :, None] & along] = vertebra
