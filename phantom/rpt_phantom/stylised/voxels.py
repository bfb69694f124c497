"""The stylised patient on a grid: organs, lesions, tissues, density and CT number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8, UInt16

from rpt_phantom.stylised.adult import Part, parts
from rpt_phantom.stylised.axis_grid import AxisGrid
from rpt_phantom.stylised.body import StylisedBody
from rpt_phantom.stylised.frames import posed_box_cm, report_points, world_box_mm
from rpt_phantom.stylised.lesions import StylisedLesion
from rpt_phantom.stylised.painting import (
    Painted,
    outline_solid,
    paint_background,
    paint_part,
)
from rpt_phantom.stylised.solids import Vector
from rpt_phantom.stylised.tissues import (
    CELLULARITY,
    HU_AND_DENSITY,
    MARROW_OF_SPONGIOSA,
    SCLEROTIC_G_PER_ML,
    SCLEROTIC_HU,
    Tissue,
    density_table,
    hu_table,
)

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class StylisedAnatomy:
    """One patient on a grid; a voxel belongs to what holds its centre.

    Attributes:
        grid: The grid of every array.
        organs: TotalSegmentator ids, 150–155 salivary glands, 199 remaining body, 0 air.
        tissue: Values of ``Tissue``: kidney cortex, fat, spongiosa, wall or content, …
        lesions: Number of the lesion, 0 elsewhere.
        hu: CT number, sharp and free of noise, HU.
        density_g_per_ml: Mass density, g/mL.
    """

    grid: AxisGrid
    organs: UInt8[np.ndarray, "x y z"]
    tissue: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    hu: Int16[np.ndarray, "x y z"]
    density_g_per_ml: Float32[np.ndarray, "x y z"]

    def where(self, *tissues: Tissue) -> Bool[np.ndarray, "x y z"]:
        """Return the mask of one or several tissues."""
        chosen = np.zeros(256, bool)
        chosen[list(tissues)] = True
        mask: Bool[np.ndarray, "x y z"] = chosen[self.tissue]
        return mask

    def active_marrow(self) -> Float32[np.ndarray, "x y z"]:
        """Return the volume fraction of active marrow: cellularity of the bone in spongiosa."""
        share = np.zeros(256, np.float32)
        for organ, cellularity in CELLULARITY.items():
            share[organ] = cellularity * MARROW_OF_SPONGIOSA
        return np.where(self.where(Tissue.SPONGIOSA), share[self.organs], np.float32(0))


def voxelise(
    body: StylisedBody, lesions: Sequence[StylisedLesion], grid: AxisGrid
) -> StylisedAnatomy:
    """Put a patient on a grid.

    Args:
        body: The patient.
        lesions: Its lesions; number 1 comes first.
        grid: The grid; what lies beyond it is cut.
    """
    organs = np.zeros(grid.shape, np.uint8)
    tissue = np.zeros(grid.shape, np.uint8)
    numbers = np.zeros(grid.shape, np.uint16)
    hu = np.full(grid.shape, HU_AND_DENSITY[Tissue.AIR][0], np.int16)
    density = np.full(grid.shape, HU_AND_DENSITY[Tissue.AIR][1], np.float32)
    solid = outline_solid(body)
    window = grid.cut(*world_box_mm(body, solid.low_cm, solid.high_cm))
    if organs[window].size:
        painter = _Painter(body, grid, window)
        for part in parts():
            painter.paint(part)
        numbers[window] = painter.number(lesions)
        organs[window], tissue[window] = painter.painted.organs, painter.painted.tissue
        hu[window], density[window] = _materials(painter.painted, numbers[window])
    return StylisedAnatomy(grid, organs, tissue, numbers, hu, density)


class _Painter:
    """Paints within the box of the body, each part within its own box."""

    def __init__(self, body: StylisedBody, grid: AxisGrid, window: Window) -> None:
        self.body, self.grid, self.window = body, grid, window
        x, y, z = report_points(body, grid, window)
        self.points = (x, y, z)
        self.painted, self.within = paint_background(body, self.points)

    def paint(self, part: Part) -> None:
        """Paint one part over what is there."""
        if part.group in self.body.poses:
            box = posed_box_cm(part.solid, self.body.poses[part.group], part.group)
        else:
            box = part.solid.low_cm, part.solid.high_cm
        cut = self._cut(*box)
        view = Painted(self.painted.organs[cut], self.painted.tissue[cut])
        x, y, z = (p[cut] for p in self.points)
        paint_part(part, self.body, (x, y, z), self.within[cut], view)

    def number(self, lesions: Sequence[StylisedLesion]) -> UInt16[np.ndarray, "x y z"]:
        """Number the lesions within their hosts; an earlier one keeps its voxels."""
        numbers = np.zeros(self.painted.organs.shape, np.uint16)
        for number, lesion in enumerate(lesions, start=1):
            cut = self._cut(*lesion.box_cm())
            x, y, z = (p[cut] for p in self.points)
            here = lesion.contains((x, y, z)) & self.within[cut] & (numbers[cut] == 0)
            here &= np.isin(self.painted.organs[cut], lesion.hosts)
            numbers[cut][here] = number
        return numbers

    def _cut(self, low_cm: Vector, high_cm: Vector) -> Window:
        """Return the box's voxels, as slices into the window."""
        whole = self.grid.cut(*world_box_mm(self.body, low_cm, high_cm))
        x, y, z = (
            slice(max(one.start - of.start, 0), max(min(one.stop, of.stop) - of.start, 0))
            for one, of in zip(whole, self.window, strict=True)
        )
        return x, y, z


def _materials(
    painted: Painted, numbers: UInt16[np.ndarray, "x y z"]
) -> tuple[Float32[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"]]:
    """Return CT number, HU, and density, g/mL."""
    hu = hu_table()[painted.organs, painted.tissue]
    density = density_table()[painted.tissue]
    sclerotic = (numbers > 0) & np.isin(painted.tissue, (Tissue.SPONGIOSA, Tissue.CORTICAL_BONE))
    hu[sclerotic] = np.maximum(hu[sclerotic], np.float32(SCLEROTIC_HU))
    density[sclerotic] = np.maximum(density[sclerotic], np.float32(SCLEROTIC_G_PER_ML))
    return hu, density
