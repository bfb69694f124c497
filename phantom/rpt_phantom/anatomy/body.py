"""One patient's body, without any grid: size, organs' volumes and places, what is unusual.

Organs' volumes are log-normal and go with the body surface area:

* kidney parenchyma of men of 60 to 81 years: right 164 mL (149 to 184 in the middle half), left
  about 170; 1,815 adults by MRI, J Clin Med 13 (2024) 769. r = 0.68 with the surface area: 224
  donors by CT, Clin J Am Soc Nephrol 6 (2011).
* liver: −794 + 1267 mL/m², r = 0.68: 292 adults by CT, Vauthey et al., Liver Transpl 8 (2002) 233
  (from memory of the field); the spread about the line, 17 %, is ours, near the 18 % that follow
  from 1,205 ± 258 mL with r = 0.55 in 369 adults, World J Gastroenterol 23 (2017) 4968.
* spleen: 198 ± 88 mL, 212 adults by CT, Folia Morphol 73 (2014); it does not go with body size:
  Prassopoulos et al., Eur Radiol 7 (1997) 246.

All else is ours: other organs' spreads, shifts, and how often something is unusual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import binary_dilation

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.atlas import Atlas, shipped_atlases
from rpt_phantom.anatomy.deformation import Deformation, draw_deformation
from rpt_phantom.anatomy.tissues import Tissue
from rpt_phantom.grid import Vector

HEIGHT_RANGE_CM, WEIGHT_RANGE_KG = (140.0, 210.0), (40.0, 180.0)
CLIP = 2.5  # of all normal deviates, in SD
MEAN_BSA_M2, BSA_LOG_STD = 1.95, 0.065  # of 78.7 ± 9.9 kg and 176 ± 7 cm
KIDNEY_LEFT_ML, KIDNEY_RIGHT_ML, KIDNEY_LOG_STD, KIDNEY_BSA_R = 170.0, 164.0, 0.17, 0.68
SIDE_LOG_STD = 0.06  # between left and right of a pair, on top
LIVER_ML, LIVER_ML_PER_M2, LIVER_LOG_STD = -794.0, 1267.0, 0.17  # about the line
SPLEEN_ML, SPLEEN_LOG_STD = 180.0, 0.38  # the median of 198 ± 88
OTHER_LOG_STD = {
    ids.PANCREAS: 0.15,
    ids.STOMACH: 0.20,
    ids.HEART: 0.12,
    ids.URINARY_BLADDER: 0.35,
    ids.PAROTID_LEFT: 0.2,
    ids.PAROTID_RIGHT: 0.2,
}
SHIFT_STD_MM = {
    ids.KIDNEY_LEFT: (4.0, 4.0, 9.0),
    ids.HEART: (3.0, 3.0, 4.0),
    ids.KIDNEY_RIGHT: (4.0, 4.0, 9.0),
    ids.LIVER: (3.0, 3.0, 7.0),
    ids.SPLEEN: (4.0, 4.0, 7.0),
}
"""Drawn in this order."""
MOST_FACTOR = 5.0
"""Of an organ's volume: what is so far from usual in an own anatomy is ill and stays as it is."""
SETUP_STD_MM = (3.0, 3.0, 6.0)
SINGLE_KIDNEY_SHARE, SINGLE_KIDNEY_GROWTH = 0.02, 1.4
LARGE_SPLEEN_SHARE, LARGE_SPLEEN_GROWTH = 0.04, 2.2
WIDE_PELVIS_SHARE, WIDE_PELVIS_MM = 0.04, 5.0
URETER_WAVE_MM, URETER_FILLED = (60.0, 140.0), 0.3
"""Least and most length from one filled piece of a ureter to the next; share that is filled."""


@dataclass(frozen=True)
class Body:
    """One patient's body.

    Attributes:
        atlas: Its organs before they have a size of their own.
        width: Lengths along x and y relative to the atlas.
        height: Lengths along z relative to the atlas.
        deformation: Change of shape; none for the atlas itself.
        setup_mm: Shift of the whole patient in the world, mm, RAS+.
    """

    atlas: Atlas
    width: float = 1.0
    height: float = 1.0
    deformation: Deformation | None = None
    setup_mm: Vector = (0.0, 0.0, 0.0)

    @property
    def scales(self) -> Vector:
        """Lengths along x, y and z relative to the atlas."""
        return self.width, self.width, self.height


def draw_body(
    rng: np.random.Generator,
    *,
    weight_kg: float,
    height_cm: float,
    atlases: Sequence[Atlas] | None = None,
) -> Body:
    """Draw a patient's body.

    Args:
        atlases: Of one of which the body is made; the shipped ones by default.

    Raises:
        ValueError: Height or weight is not an adult's.
    """
    # One draw for any number of them: the rest of the patient does not change.
    among = atlases or shipped_atlases()
    atlas = among[int(rng.integers(2)) % len(among)]
    sized = sized_body(atlas, weight_kg=weight_kg, height_cm=height_cm)
    wanted_ml = _draw_volumes_ml(rng, weight_kg=weight_kg, height_cm=height_cm)
    unusual = _draw_ureters(rng, _draw_unusual(rng, sized.atlas, wanted_ml))
    sized = replace(sized, atlas=unusual)
    voxel_ml = unusual.grid.voxel_ml * np.prod(sized.scales)
    # Slice by slice: at once it would need eight bytes a voxel.
    counts = [np.bincount(one.ravel(), minlength=256) for one in unusual.organs]
    in_atlas = np.sum(counts, axis=0) * voxel_ml
    # What an organ that the atlas cuts has in all is not known.
    whole = (in_atlas > 0) & ~np.isin(np.arange(256), list(unusual.cut))
    present = [number for number in wanted_ml if whole[number]]
    factors = {number: wanted_ml[number] / float(in_atlas[number]) for number in present}
    factors = {n: one for n, one in factors.items() if 1 / MOST_FACTOR < one < MOST_FACTOR}
    for number, std in OTHER_LOG_STD.items():
        deviate = float(_deviates(rng, 1)[0])
        if whole[number]:
            factors[number] = float(np.exp(std * deviate))
    shifts: dict[int, Vector] = {}
    for number, stds in SHIFT_STD_MM.items():
        x, y, z = (float(one) for one in _deviates(rng, 3) * stds)
        shifts[number] = (x, y, z)
    x, y, z = (float(value) for value in _deviates(rng, 3) * SETUP_STD_MM)
    return replace(
        sized,
        deformation=draw_deformation(rng, unusual, factors, shifts),
        setup_mm=(x, y, z),
    )


def sized_body(atlas: Atlas, *, weight_kg: float, height_cm: float) -> Body:
    """Return the atlas at a patient's size: its section goes with weight per height.

    Raises:
        ValueError: Height or weight is not an adult's.
    """
    for name, value, (least, most), unit in (
        ("height_cm", height_cm, HEIGHT_RANGE_CM, "cm"),
        ("weight_kg", weight_kg, WEIGHT_RANGE_KG, "kg"),
    ):
        if not least <= value <= most:
            raise ValueError(
                f"{name} must be an adult's, {least:g} to {most:g} {unit}, got {value:g} {unit}. "
                "Is it in another unit?"
            )
    height = height_cm / atlas.height_cm
    return Body(atlas, width=float(np.sqrt(weight_kg / atlas.weight_kg / height)), height=height)


def body_surface_m2(*, weight_kg: float, height_cm: float) -> float:
    """Return the body surface area, m². Source: Mosteller, N Engl J Med 317 (1987) 1098."""
    return float(np.sqrt(weight_kg * height_cm / 3600.0))


def _draw_volumes_ml(
    rng: np.random.Generator, *, weight_kg: float, height_cm: float
) -> dict[int, float]:
    """Draw the volumes of kidneys (both parts, vessels apart), liver and spleen, mL."""
    surface_m2 = body_surface_m2(weight_kg=weight_kg, height_cm=height_cm)
    large = float(np.log(surface_m2 / MEAN_BSA_M2)) / BSA_LOG_STD
    both, left, right, liver, spleen = _deviates(rng, 5)
    both = KIDNEY_BSA_R * large + np.sqrt(1.0 - KIDNEY_BSA_R**2) * both
    usual_ml = LIVER_ML + LIVER_ML_PER_M2 * surface_m2
    return {
        ids.KIDNEY_LEFT: KIDNEY_LEFT_ML * np.exp(KIDNEY_LOG_STD * both + SIDE_LOG_STD * left),
        ids.KIDNEY_RIGHT: KIDNEY_RIGHT_ML * np.exp(KIDNEY_LOG_STD * both + SIDE_LOG_STD * right),
        ids.LIVER: usual_ml * np.exp(LIVER_LOG_STD * liver),
        ids.SPLEEN: SPLEEN_ML * np.exp(SPLEEN_LOG_STD * spleen),
    }


def _draw_unusual(rng: np.random.Generator, atlas: Atlas, wanted_ml: dict[int, float]) -> Atlas:
    """Draw whether a kidney is missing, the spleen large or a renal pelvis wide; seldom."""
    single, large, wide = rng.random(3)
    side = int(rng.integers(2))
    kept, other = ids.KIDNEYS[side], ids.KIDNEYS[1 - side]
    if large < LARGE_SPLEEN_SHARE:
        wanted_ml[ids.SPLEEN] *= LARGE_SPLEEN_GROWTH
    organs, tissue = atlas.organs, atlas.tissue
    if single < SINGLE_KIDNEY_SHARE and (organs == kept).any():
        wanted_ml[kept] *= SINGLE_KIDNEY_GROWTH
        gone = (organs == other) | _urinary(atlas, other)
        organs, tissue = organs.copy(), tissue.copy()
        organs[gone], tissue[gone] = ids.REMAINING_BODY, Tissue.FAT
    if wide < WIDE_PELVIS_SHARE:
        reach = round(WIDE_PELVIS_MM / atlas.grid.spacing_mm[0])
        pelvis = binary_dilation(tissue == Tissue.KIDNEY_PELVIS, iterations=reach)
        inside = pelvis & (organs == kept)
        tissue = np.where(inside, np.uint8(Tissue.KIDNEY_PELVIS), tissue)
    return replace(atlas, organs=organs, tissue=tissue)


def _urinary(atlas: Atlas, kidney: int) -> Bool[np.ndarray, "x y z"]:
    """Return pelvis and ureter of one side, as far as they lie beyond the kidney."""
    low_mm, high_mm = atlas.boxes_mm[kidney]
    here: Bool[np.ndarray, "x y z"] = atlas.tissue == Tissue.KIDNEY_PELVIS
    here &= atlas.organs == ids.REMAINING_BODY
    right = atlas.grid.positions_mm(0)[:, None, None] > 0
    return here & (right if low_mm[0] + high_mm[0] > 0 else ~right)


def _draw_ureters(rng: np.random.Generator, atlas: Atlas) -> Atlas:
    """Fill ureters in pieces, as peristalsis does; what is empty between them is soft tissue."""
    tissue, z_mm = atlas.tissue.copy(), atlas.grid.positions_mm(2)
    for kidney in ids.KIDNEYS:
        wave_mm, phase = rng.uniform(*URETER_WAVE_MM), rng.random()
        if kidney in atlas.boxes_mm:
            below = z_mm < atlas.boxes_mm[kidney][0][2]
            empty = below & ((z_mm / wave_mm + phase) % 1.0 > URETER_FILLED)
            tissue[_urinary(atlas, kidney) & empty] = Tissue.SOFT
    return replace(atlas, tissue=tissue)


def _deviates(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.clip(rng.standard_normal(count), -CLIP, CLIP)
