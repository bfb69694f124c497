"""Figures as bytes, and the heat map of two quantities of the same voxels.

Needs matplotlib, which each package that draws asks for itself.
"""

import io

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator


def png_bytes(figure: Figure, *, dots_per_inch: float) -> bytes:
    """Encode a figure as PNG, without the version of the library that drew it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return stream.getvalue()


def heat_scatter(
    ax: Axes, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], *, most_cells: int
) -> Axes:
    """Draw how many voxels have which two values, in colours by the logarithm.

    Args:
        ax: Where to draw.
        x: Of each voxel.
        y: Of each voxel.
        most_cells: Along each axis; fewer for fewer voxels than their square.
    """
    bins = min(most_cells, int(np.sqrt(len(x))))
    cells = ax.hist2d(x, y, bins=bins, cmap="viridis", norm=LogNorm(vmin=1))[-1]
    bar = ax.figure.colorbar(cells, ax=ax, label="Voxels", ticks=LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_major_formatter("{x:.0f}")
    bar.minorticks_off()
    return ax
