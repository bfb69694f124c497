"""The label map that patients are made of: real organs, numbered, on voxels of 2 mm.

``atlas.npz`` ships with the package: a man's organs, and the same body with a woman's liver,
spleen, kidneys, ureters and pancreas for other shapes; ``ATTRIBUTION.md`` names its source and
``make_atlas.py`` how it was made. Its world is RAS+, mm: x to the patient's right, y to the front,
z to the head; the origin lies in the body's middle at the border of T12 and L1.
"""

import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np
from jaxtyping import UInt8
from rpt_cohort import BadInput
from scipy.ndimage import find_objects

from rpt_phantom.grid import Grid, Vector

Shape = Literal["man", "woman"]
"""Whose liver, spleen, kidneys and pancreas."""
ORIGIN_MM = (0.0, 0.0, 320.0)
"""The world's origin in the meshes' coordinates."""
HEIGHT_CM, WEIGHT_KG = 183.0, 90.0
"""Of the man. Source: height, the skin's mesh; weight, the Visible Human Project's male donor."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """A patient's organs before he has a size of his own.

    Attributes:
        organs: TotalSegmentator ids, 150–157 glands, 199 remaining body, 0 air.
        tissue: Values of ``Tissue``.
        height_cm: Of whom it is, cm.
        weight_kg: Of whom it is, kg.
        cut: Numbers of the organs that go on beyond it.
    """

    grid: Grid
    organs: UInt8[np.ndarray, "x y z"]
    tissue: UInt8[np.ndarray, "x y z"]
    height_cm: float = HEIGHT_CM
    weight_kg: float = WEIGHT_KG
    cut: frozenset[int] = frozenset()

    @cached_property
    def boxes_mm(self) -> dict[int, tuple[Vector, Vector]]:
        """Organ number → lower and upper corner of the box that holds it, mm."""
        boxes = {}
        for number, found in enumerate(find_objects(self.organs), start=1):
            if found is None:
                continue
            ends = []
            for side in ("start", "stop"):
                x, y, z = (
                    self.grid.first_mm[axis]
                    + (getattr(found[axis], side) - 0.5) * self.grid.spacing_mm[axis]
                    for axis in range(3)
                )
                ends.append((x, y, z))
            boxes[number] = (ends[0], ends[1])
        return boxes

    @cached_property
    def body_mm(self) -> tuple[Vector, Vector]:
        """Lower and upper corner of the box that holds the body, mm."""
        low = np.min([box[0] for box in self.boxes_mm.values()], axis=0)
        high = np.max([box[1] for box in self.boxes_mm.values()], axis=0)
        return (
            (float(low[0]), float(low[1]), float(low[2])),
            (float(high[0]), float(high[1]), float(high[2])),
        )


def shipped_atlases() -> tuple[Atlas, ...]:
    """Return all that is shipped."""
    return tuple(shipped_atlas(shape) for shape in get_args(Shape))


_DAMAGED = (
    *(OSError, EOFError, BadZipFile, zlib.error, NotImplementedError),
    *(ValueError, KeyError, TypeError, IndexError),
)
"""What reading a file of other content raises."""


@cache
def shipped_atlas(shape: Shape) -> Atlas:
    """Read one of the shipped maps.

    Raises:
        BadInput: The file is missing or damaged.
    """
    try:
        with (
            resources.files(__package__).joinpath("atlas.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as content,
        ):
            table, codes = content["table"], content[shape]
            x, y, z = (float(one) for one in content["low_mm"])
            spacing_mm = float(content["spacing_mm"])
        if table.ndim != 2 or codes.ndim != 3 or codes.dtype != np.uint8:
            raise ValueError("The map must be one of codes on three axes, with their table.")
        pairs = np.zeros((256, 2), np.uint8)
        pairs[: len(table)] = table
        half_mm = spacing_mm / 2
        first_mm = (
            x + half_mm - ORIGIN_MM[0],
            y + half_mm - ORIGIN_MM[1],
            z + half_mm - ORIGIN_MM[2],
        )
        grid = Grid(codes.shape, (spacing_mm,) * 3, first_mm)
    except _DAMAGED as error:
        raise BadInput(
            "The label map that virtual patients are made of must be in the package, whole "
            f"({type(error).__name__}). Install rpt-phantom anew."
        ) from error
    return Atlas(grid, pairs[codes, 0], pairs[codes, 1])
