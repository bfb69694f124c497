"""Heat scatter of PET against dose; takes and returns ``ax``."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from rpt_cohort.correlation import pearson_r, why_undefined
from rpt_cohort.figures import heat_scatter

from rpt_eval.figures import DOSE_LABEL

MOST_CELLS = 60
"""Of the heat map, along each axis; fewer for fewer voxels than its square (ours)."""


def region_scatter(
    ax: Axes, suv: Float[np.ndarray, " n"], dose: Float[np.ndarray, " n"], *, title: str
) -> Axes:
    """Draw one region's dose against its PET: counts of voxels, and the least-squares line.

    Args:
        ax: Where to draw.
        suv: PET, g/mL, the region's voxels.
        dose: Absorbed dose, Gy/GBq, the same voxels.
        title: Above the plot; r and the number of voxels are added.

    Raises:
        ValueError: The two have no correlation.
    """
    reason = why_undefined(suv, dose)
    if reason:
        raise ValueError(f"PET and dose must have a correlation, got {reason}.")
    suv, dose = suv.astype(np.float64), dose.astype(np.float64)
    ax.set_xlabel("PET (SUV, g/mL)")
    ax.set_ylabel(DOSE_LABEL)
    heat_scatter(ax, suv, dose, most_cells=MOST_CELLS)
    slope = ((suv - suv.mean()) * (dose - dose.mean())).mean() / suv.var()
    ends = np.array([suv.min(), suv.max()])
    line = dose.mean() + slope * (ends - suv.mean())
    ax.plot(ends, line, color="#D55E00", label=f"least squares, {slope:.3g} Gy/GBq per g/mL")
    ax.legend(fontsize="small", loc="lower right" if slope > 0 else "upper right")
    ax.set_title(f"{title}, r = {pearson_r(suv, dose):.2f} ({len(suv)} voxels)")
    return ax
