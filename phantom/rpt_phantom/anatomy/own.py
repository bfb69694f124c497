"""A user's own anatomy: the CT of a patient and the numbers of its organs, as an atlas.

Both are carried to voxels of 2 mm along the patient's axes, the numbers by the nearest voxel. Where
the labels tell no remaining body (199), the CT tells it, as in ``rpt_dosimetry ingest``; it also
tells fat from muscle there, and the air in it. Within organs the CT is not looked at: they are
divided by depth, as in the shipped map. Ours, as all numbers here but the kidneys' shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from rpt_cohort import BadInput, Volume, file_sha256, read_volume
from rpt_cohort.labels import ORGANS
from rpt_cohort.volumes import grid_fault, turned_to_ras
from rpt_dosimetry.dose.anatomy import check_hu
from rpt_dosimetry.ingest.alignment import BODY_ABOVE_HU, with_body
from scipy.ndimage import affine_transform, distance_transform_edt, find_objects

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.atlas import Atlas, shipped_atlas
from rpt_phantom.anatomy.tissues import BONE_CORTEX_MM, WALL_MM, Tissue
from rpt_phantom.grid import Grid, Vector
from rpt_phantom.person import HEIGHT_CM, WEIGHT_KG

SPACING_MM = 2.0
MOST_MM = (1000.0, 1000.0, 2500.0)
"""Of a scan along the patient's axes: no scanner sees more of one patient."""
LEAST_WIDTH_MM = 150.0
"""Of a body: what is narrower has its affine in another unit."""
AIR_HU, FAT_BELOW_HU = -1000.0, -30.0
KIDNEY_SHARES = {
    Tissue.KIDNEY_CORTEX: 0.70,
    Tissue.KIDNEY_MEDULLA: 0.25,
    Tissue.KIDNEY_PELVIS: 0.05,
}
"""Of a kidney's volume, from its surface inwards. Source: the phantoms of ICRP Publication 110
(2009)."""
JEJUNUM_SHARE = 2 / 3
"""Of the small bowel's volume, that to the upper left; as in the shipped map."""
OUTSIDE = 255  # of a scan, while it is carried to another grid; no organ has this number
KNOWN = frozenset((0, *range(1, 118), *ids.GLANDS, ids.REMAINING_BODY))
_TISSUES: dict[Tissue, tuple[int, ...]] = {
    Tissue.AIR: (0,),
    Tissue.LUNG: (*ids.LUNGS, ids.TRACHEA),
    Tissue.BLOOD: ids.VESSELS,
    Tissue.MUSCLE: (*ids.MUSCLES, ids.COSTAL_CARTILAGES),
    Tissue.CORTICAL_BONE: ids.BONES,
    Tissue.WALL: (*WALL_MM, ids.ESOPHAGUS),
    Tissue.CONTENT: ids.KIDNEY_CYSTS,
}
"""Of an organ's surface, or all of it; what is not named is ``Tissue.SOFT``."""


@dataclass(frozen=True)
class OwnAnatomy:
    """The files of a CT and of the numbers of its organs; two are one if they hold the same.

    Attributes:
        ct_sha256: SHA-256 of the CT's file.
        labels_sha256: SHA-256 of the labels' file.
        ct: In HU, NIfTI.
        labels: On the grid of ``ct``, NIfTI: TotalSegmentator v2 ``total`` ids, 150–157 glands,
            199 remaining body.
    """

    ct_sha256: str
    labels_sha256: str
    ct: Path = field(compare=False)
    labels: Path = field(compare=False)

    @classmethod
    def of(cls, ct: Path, labels: Path) -> "OwnAnatomy":
        """Name two files and note what they hold.

        Raises:
            BadInput: One cannot be read.
        """
        return cls(file_sha256(ct), file_sha256(labels), ct.absolute(), labels.absolute())

    def sha256(self) -> dict[str, str]:
        """Return the hashes by which a provenance names the files."""
        return {"ct": self.ct_sha256, "labels": self.labels_sha256}


@cache
def own_atlas(own: OwnAnatomy) -> Atlas:
    """Make an atlas of a CT and the numbers of its organs.

    Its size is taken for that of the population's mean patient. The origin of its world lies in the
    body's middle, at the height at which the border of T12 and L1 is by what vertebrae are there,
    else by the organs.

    Raises:
        BadInput: A file is missing, damaged, or not what it should be; they lie on different
            grids; a number is not known; or no organ of interest is there.
    """
    if OwnAnatomy.of(own.ct, own.labels) != own:
        raise BadInput(
            f"{own.ct.name} and {own.labels.name} must stay as they are while patients are made, "
            "and one has changed. Run the command again."
        )
    ct, labels = (turned_to_ras(read_volume(path, name=path.name)) for path in (own.ct, own.labels))
    check_hu(ct, name=own.ct.name)
    if fault := grid_fault(labels, ct, name=own.labels.name, like_name=own.ct.name):
        raise BadInput(fault)
    numbers = Volume(_checked(labels.data, name=own.labels.name), labels.affine)
    of_interest = ct.data[np.isin(numbers.data, [one for of in ORGANS.values() for one in of])]
    if not np.median(of_interest) > BODY_ABOVE_HU:
        raise BadInput(
            f"{own.ct.name} must show tissue, above {BODY_ABOVE_HU:g} HU, where "
            f"{own.labels.name} numbers {', '.join(ORGANS)}, got a median of "
            f"{np.median(of_interest):.0f} HU. Are they of one scan?"
        )
    grid = _grid(ct, name=own.ct.name)
    organs = _carried(numbers, grid, order=0).astype(np.uint8)
    hu = np.where(organs == OUTSIDE, np.float32(AIR_HU), _carried(ct, grid, order=1))
    organs[organs == OUTSIDE] = 0
    if not (organs == ids.REMAINING_BODY).any():
        organs = with_body(organs, hu)
    organs[(organs == ids.REMAINING_BODY) & (hu < BODY_ABOVE_HU)] = 0
    (window,) = find_objects((organs > 0).astype(np.uint8))
    width_mm = (window[0].stop - window[0].start) * SPACING_MM
    if width_mm < LEAST_WIDTH_MM:
        raise BadInput(
            f"{own.ct.name} must show a body of at least {LEAST_WIDTH_MM:g} mm from side to side, "
            f"got {width_mm:g} mm. Is its affine in mm?"
        )
    first = tuple(
        at + one.start * SPACING_MM for at, one in zip(grid.first_mm, window, strict=True)
    )
    grid = Grid(organs[window].shape, grid.spacing_mm, (first[0], first[1], first[2]))
    atlas = Atlas(
        grid,
        np.ascontiguousarray(organs[window]),
        _tissue(organs[window], hu[window], grid),
        height_cm=HEIGHT_CM[0],
        weight_kg=WEIGHT_KG[0],
        cut=_at_faces(numbers.data),
    )
    return _around_waist(atlas)


def _checked(values: np.ndarray, *, name: str) -> UInt8[np.ndarray, "x y z"]:
    """Return numbers of organs as such.

    Raises:
        BadInput: One is not known, or none is of an organ whose dose is asked for.
    """
    there = np.unique(values).tolist()
    unknown = [f"{one:g}" for one in there if one not in KNOWN]
    if unknown:
        more = ", …" if len(unknown) > 5 else ""
        raise BadInput(
            f"{name} must hold whole numbers of organs: 1 to 117 of TotalSegmentator v2, "
            f"{ids.GLANDS[0]} to {ids.GLANDS[-1]} of glands, {ids.REMAINING_BODY} of the remaining "
            f"body and 0; got {', '.join(unknown[:5])}{more}. Number the organs anew, and carry "
            "them to other grids by the nearest voxel."
        )
    if not any(one in there for numbers in ORGANS.values() for one in numbers):
        raise BadInput(
            f"{name} must number at least one of {', '.join(ORGANS)}, and it numbers none. "
            "Segment the CT with them, and name it before the labels."
        )
    return values.astype(np.uint8)


def _at_faces(numbers: UInt8[np.ndarray, "x y z"]) -> frozenset[int]:
    """Return the organs that the scan cuts."""
    faces = [np.take(numbers, end, axis) for axis in range(3) for end in (0, -1)]
    reached = {int(one) for face in faces for one in np.unique(face)}
    return frozenset(reached - {0, ids.REMAINING_BODY})


def _grid(ct: Volume, *, name: str) -> Grid:
    """Return voxels along the patient's axes that hold a scan.

    Raises:
        BadInput: It is larger than a patient.
    """
    ends = np.array(list(np.ndindex(2, 2, 2))) * ct.data.shape - 0.5
    corners_mm = ends @ ct.affine[:3, :3].T + ct.affine[:3, 3]
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    if np.any(high_mm - low_mm > MOST_MM):
        sizes = " × ".join(f"{one:.0f}" for one in high_mm - low_mm)
        raise BadInput(
            f"{name} must be of one patient, at most {' × '.join(f'{one:.0f}' for one in MOST_MM)} "
            f"mm, got {sizes} mm. Is its affine in mm?"
        )
    x, y, z = (int(n) for n in np.ceil((high_mm - low_mm) / SPACING_MM))
    a, b, c = (float(at) for at in low_mm + SPACING_MM / 2)
    return Grid((x, y, z), (SPACING_MM,) * 3, (a, b, c))


def _carried(volume: Volume, grid: Grid, *, order: Literal[0, 1]) -> Float32[np.ndarray, "x y z"]:
    """Carry values to a grid: by the nearest voxel, ``OUTSIDE`` beyond them, or linearly."""
    whole = np.linalg.inv(volume.affine) @ grid.affine
    found: Float32[np.ndarray, "x y z"] = affine_transform(
        volume.data,
        whole[:3, :3],
        offset=whole[:3, 3],
        output_shape=grid.shape,
        output=np.float32,
        order=order,
        # Up to the outer edges of the outermost voxels.
        mode=("grid-constant", "nearest")[order],
        cval=OUTSIDE,
    )
    return found


def _tissue(
    organs: UInt8[np.ndarray, "x y z"], hu: Float32[np.ndarray, "x y z"], grid: Grid
) -> UInt8[np.ndarray, "x y z"]:
    """Divide organs into tissues, and the rest of the body into fat and muscle."""
    table = np.full(256, Tissue.SOFT, np.uint8)
    for tissue, numbers in _TISSUES.items():
        table[list(numbers)] = tissue
    found: UInt8[np.ndarray, "x y z"] = table[organs]
    rest = organs == ids.REMAINING_BODY
    found[rest] = np.where(hu[rest] < FAT_BELOW_HU, Tissue.FAT, Tissue.MUSCLE)
    inner = {organ: (wall_mm, Tissue.CONTENT) for organ, wall_mm in WALL_MM.items()}
    inner |= dict.fromkeys(ids.BONES, (BONE_CORTEX_MM, Tissue.SPONGIOSA))
    inner[ids.HEART] = (WALL_MM[ids.HEART], Tissue.BLOOD)
    for number, box in enumerate(find_objects(organs), start=1):
        if box is None or number not in (*inner, *ids.KIDNEYS, ids.SMALL_BOWEL):
            continue
        # One voxel around it, so that its surface is one; where the scan cuts it is none.
        x, y, z = (slice(max(one.start - 1, 0), one.stop + 1) for one in box)
        here, part = organs[x, y, z] == number, found[x, y, z]
        places = np.argwhere(here) * SPACING_MM
        if number == ids.SMALL_BOWEL:
            _divide(part, here, places[:, 0] - places[:, 2], {Tissue.JEJUNUM: JEJUNUM_SHARE})
            continue
        depth_mm = distance_transform_edt(here, sampling=SPACING_MM)[here]
        if number in inner:
            wall_mm, tissue = inner[number]
            part[here] = np.where(depth_mm > wall_mm, tissue, part[here])
        else:
            # Of voxels equally deep, those farther from the middle come first.
            away_mm = np.linalg.norm(places - places.mean(axis=0), axis=1)
            _divide(part, here, depth_mm - 1e-3 * away_mm, KIDNEY_SHARES)
    return found


def _divide(
    tissue: UInt8[np.ndarray, "x y z"],
    here: Bool[np.ndarray, "x y z"],
    order: Float[np.ndarray, " n"],
    shares: Mapping[Tissue, float],
) -> None:
    """Give shares of an organ's voxels a tissue each, those of the least ``order`` first."""
    divided = tissue[here]
    ranked, start = np.argsort(order, kind="stable"), 0.0
    for one, share in shares.items():
        first, last = (round(len(ranked) * end) for end in (start, start + share))
        divided[ranked[first:last]] = one
        start += share
    tissue[here] = divided


def _around_waist(atlas: Atlas) -> Atlas:
    """Move the world's origin to the body's middle, where T12 and L1 meet."""
    man, own = shipped_atlas("man").boxes_mm, atlas.boxes_mm
    shared = [one for one in own if one in man and one != ids.REMAINING_BODY]
    whole = [one for one in shared if one not in atlas.cut] or shared
    marks = [
        [one for one in whole if one in group]
        for group in ((ids.T12, ids.L1), ids.SPINE, tuple(whole))
    ]
    nearest = next(group for group in marks if group)
    z_mm = float(np.median([_middle_mm(own[one]) - _middle_mm(man[one]) for one in nearest]))
    x_mm, y_mm, _ = ((low + high) / 2 for low, high in zip(*atlas.body_mm, strict=True))
    x, y, z = atlas.grid.first_mm
    return replace(atlas, grid=replace(atlas.grid, first_mm=(x - x_mm, y - y_mm, z - z_mm)))


def _middle_mm(box_mm: tuple[Vector, Vector]) -> float:
    """Return the height of a box's middle, mm."""
    low, high = box_mm
    return (low[2] + high[2]) / 2
