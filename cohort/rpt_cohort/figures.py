"""Figures: planes of a patient as radiologists look at them, heat maps, and PNG.

The patient's right is on the viewer's left. Needs matplotlib, which each package that draws asks
for itself.
"""

import io
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from nibabel.orientations import io_orientation

from rpt_cohort.volumes import Volume

Plane = Literal["coronal", "sagittal", "axial"]

_ALONG: dict[Plane, tuple[int, int, int]] = {
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
    "axial": (0, 1, 2),
}
"""The world's axes that run across the picture, up it, and through it."""
_ENDS = ("RL", "AP", "SI")
_NAMES = ("right to left (mm)", "front to back (mm)", "head to foot (mm)")


def fullest_plane(volume: Volume, plane: Plane) -> int:
    """Return the voxel index of the plane that holds most of a volume's values.

    Args:
        volume: On any axes; NaN counts as 0.
        plane: Which planes are summed.
    """
    through = _own_axes(volume, plane)[2]
    others = tuple(axis for axis in range(3) if axis != through)
    return int(np.nansum(volume.data, axis=others, dtype=np.float64).argmax())


def cut_plane(
    volume: Volume, plane: Plane, at: int | None
) -> tuple[Shaped[np.ndarray, "height width"], tuple[float, float]]:
    """Cut a plane out of a volume and turn it as radiologists look at it.

    The patient's right is on the left of a coronal and an axial plane, the front on the left of a
    sagittal one; the head is up, in an axial plane the front. Oblique axes count as those that
    they are nearest to.

    Args:
        volume: On any axes, which its affine tells.
        plane: Which way to look.
        at: Voxel index, in the volume's own order, along the axis through the plane; the largest
            value along that axis without one.

    Returns:
        The picture, its first row the upper one; and its height and width, mm.
    """
    across, up, through = _own_axes(volume, plane)
    cut = volume.data.max(axis=through) if at is None else volume.data.take(at, axis=through)
    rises = io_orientation(volume.affine)[:, 1] > 0
    picture = cut.T if across < up else cut
    picture = np.flip(picture, tuple(side for side, axis in enumerate((up, across)) if rises[axis]))
    height, width = picture.shape
    return picture, (height * volume.spacing_mm[up], width * volume.spacing_mm[across])


def draw_plane(
    ax: Any,
    volume: Volume,
    plane: Plane,
    *,
    at: int | None,
    levels: tuple[float, ...] = (),
    **style: Any,
) -> Any:
    """Draw a plane of a patient, in mm, with a letter on either side: R and L, or A and P.

    Args:
        ax: Axes of Matplotlib, empty or with the same plane drawn before.
        volume: On any axes; NaN is left blank.
        plane: Which way to look; see ``cut_plane``.
        at: Voxel index of the plane; the largest values along the line of sight without one.
        levels: Draw lines at these values instead of the picture.
        style: As Matplotlib's ``imshow`` or ``contour`` takes it, such as ``cmap``.

    Returns:
        What Matplotlib returns: the image or the lines.
    """
    picture, (height_mm, width_mm) = cut_plane(volume, plane, at)
    extent = (0.0, width_mm, height_mm, 0.0)
    if levels:
        lines = picture.astype(np.float64)
        return ax.contour(lines, levels=levels, origin="upper", extent=extent, **style)
    if not ax.images:
        across, up, _ = _ALONG[plane]
        ax.set_xlabel(_NAMES[across])
        ax.set_ylabel(_NAMES[up])
        for letter, x, side in zip(_ENDS[across], (0.02, 0.98), ("left", "right"), strict=True):
            ax.text(
                *(x, 0.5, letter),
                transform=ax.transAxes,
                horizontalalignment=side,
                verticalalignment="center",
                color="white",
                fontweight="bold",
                bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1.5},
            )
    return ax.imshow(picture, origin="upper", extent=extent, **style)


def _own_axes(volume: Volume, plane: Plane) -> tuple[int, int, int]:
    """Return the volume's axes that run across a plane's picture, up it, and through it."""
    own = {int(world): axis for axis, (world, _) in enumerate(io_orientation(volume.affine))}
    across, up, through = _ALONG[plane]
    return own[across], own[up], own[through]


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
