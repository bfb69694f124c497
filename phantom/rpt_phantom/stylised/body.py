"""One patient's body, without any grid: size, fat, organs' volumes and places, deformation.

Ours, all of it: the report has one adult. Volumes of organs are log-normal; the spreads are of
the order that CT shows in men (liver 15–20 %, kidneys 15 %, spleen 35 %). A heavier patient of
the same height gets, in equal parts of the trunk's cross-section, a wider frame and more fat.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from rpt_phantom.stylised.adult import anchors_cm
from rpt_phantom.stylised.deformation import Deformation, draw_deformation
from rpt_phantom.stylised.outline import TRUNK_HALF_AXES_CM
from rpt_phantom.stylised.published import REFERENCE_HEIGHT_CM, REFERENCE_WEIGHT_KG
from rpt_phantom.stylised.solids import Vector

REFERENCE_FAT_CM = 1.2
LEAST_FAT_CM, MOST_FAT_CM, FAT_LOG_STD = 0.4, 6.0, 0.12
LEAST_WIDTH, MOST_WIDTH = 0.90, 1.15
HEIGHT_RANGE_CM, WEIGHT_RANGE_KG = (140.0, 210.0), (40.0, 180.0)
CLIP = 2.5  # of all normal deviates, in SD

VOLUME_LOG_STD = {
    "liver": 0.17,
    "spleen": 0.32,
    "kidney": 0.14,
    "pancreas": 0.15,
    "stomach": 0.25,
    "heart": 0.12,
    "bladder": 0.40,
    "parotid": 0.22,
    "submandibular": 0.20,
    "sublingual": 0.20,
}
SIDE_LOG_STD = 0.06  # between left and right of a pair, on top
SHIFT_STD_CM = {"liver": (0.3, 0.3, 0.8), "heart": (0.3, 0.2, 0.5), "bladder": (0.2, 0.2, 0.4)}
USUAL_SHIFT_STD_CM = (0.3, 0.3, 0.7)
KIDNEY_SHIFT_CM = 0.5  # right below and left above the report's common height
TILT_STD_DEG = 5.0
GLANDS = ("parotid", "submandibular", "sublingual")
GLAND_SHARE = 0.3  # shift and tilt of the salivary glands relative to the usual
SETUP_STD_MM = (3.0, 3.0, 6.0)


@dataclass(frozen=True)
class Pose:
    """How a group of parts differs from the standard adult.

    Attributes:
        volume_factor: Volume relative to the standard.
        shift_cm: Displacement in the report's coordinates, cm.
        tilt_deg: Rotations about the report's x, y and z, degrees.
    """

    volume_factor: float = 1.0
    shift_cm: Vector = (0.0, 0.0, 0.0)
    tilt_deg: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StylisedBody:
    """One patient's body.

    Attributes:
        width: Lengths along x and y relative to the report's adult.
        height: Lengths along z relative to the report's adult.
        fat_cm: Thickness of the subcutaneous fat before scaling by ``width``, cm.
        poses: Group of parts → pose; the standard one where there is none.
        deformation: Change of shape; none for the standard adult.
        setup_mm: Shift of the whole patient in the world, mm, RAS+.
    """

    width: float = 1.0
    height: float = 1.0
    fat_cm: float = REFERENCE_FAT_CM
    poses: dict[str, Pose] = field(default_factory=dict)
    deformation: Deformation | None = None
    setup_mm: Vector = (0.0, 0.0, 0.0)


def reference_body() -> StylisedBody:
    """Return the report's adult, 179 cm and 73 kg, with our fat and arms raised."""
    return StylisedBody()


def draw_stylised_body(
    rng: np.random.Generator, *, weight_kg: float, height_cm: float
) -> StylisedBody:
    """Draw a patient's body.

    Args:
        rng: Source of chance.
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.

    Raises:
        ValueError: Height or weight is not an adult's.
    """
    usual = sized_body(weight_kg=weight_kg, height_cm=height_cm)
    fat_cm = usual.fat_cm * float(np.exp(FAT_LOG_STD * _deviates(rng, 1)[0]))
    x, y, z = (float(value) for value in _deviates(rng, 3) * SETUP_STD_MM)
    return replace(
        usual,
        fat_cm=float(np.clip(fat_cm, LEAST_FAT_CM, MOST_FAT_CM)),
        poses=draw_poses(rng),
        deformation=draw_deformation(rng),
        setup_mm=(x, y, z),
    )


def sized_body(*, weight_kg: float, height_cm: float) -> StylisedBody:
    """Return the standard adult at a patient's size.

    The trunk's cross-section is proportional to weight per height; the frame takes half of its
    deviation from the reference, fat the rest.

    Args:
        weight_kg: Body weight, kg.
        height_cm: Body height, cm.

    Raises:
        ValueError: Height or weight is not an adult's.
    """
    for name, value, (least, most), unit in (
        ("height_cm", height_cm, HEIGHT_RANGE_CM, "cm"),
        ("weight_kg", weight_kg, WEIGHT_RANGE_KG, "kg"),
    ):
        if not least <= value <= most:
            raise ValueError(
                f"{name} must be an adult's, {least} to {most} {unit}, got {value!r} {unit}. "
                "Is it in another unit?"
            )
    height = height_cm / REFERENCE_HEIGHT_CM
    section = weight_kg / REFERENCE_WEIGHT_KG / height
    width = float(np.clip(section**0.25, LEAST_WIDTH, MOST_WIDTH))
    fat_cm = float(np.clip(_fat_cm(section / width**2), LEAST_FAT_CM, MOST_FAT_CM))
    return StylisedBody(width=width, height=height, fat_cm=fat_cm)


def _fat_cm(section: float) -> float:
    """Return the fat that gives the standard trunk this section relative to the reference.

    Solves (a + f)(b + f) = section · (a + r)(b + r) for f; r is the reference's fat.
    """
    a, b = TRUNK_HALF_AXES_CM
    product = section * (a + REFERENCE_FAT_CM) * (b + REFERENCE_FAT_CM)
    half_sum = (a + b) / 2
    return float(np.sqrt(max(half_sum**2 - a * b + product, 0.0)) - half_sum)


def draw_poses(rng: np.random.Generator) -> dict[str, Pose]:
    """Draw every group's pose; pairs share most of their volume.

    Args:
        rng: Source of chance.
    """
    shared = {name: _deviates(rng, 1)[0] * std for name, std in VOLUME_LOG_STD.items()}
    poses = {}
    for group in anchors_cm():
        name, _, side = group.partition("_")
        log_volume = shared[name] + (SIDE_LOG_STD * _deviates(rng, 1)[0] if side else 0.0)
        share = GLAND_SHARE if name in GLANDS else 1.0
        shift = share * _deviates(rng, 3) * SHIFT_STD_CM.get(name, USUAL_SHIFT_STD_CM)
        if name == "kidney":
            shift[2] += KIDNEY_SHIFT_CM if side == "left" else -KIDNEY_SHIFT_CM
        tilt = share * TILT_STD_DEG * _deviates(rng, 3)
        poses[group] = Pose(
            float(np.exp(log_volume)),
            (float(shift[0]), float(shift[1]), float(shift[2])),
            (float(tilt[0]), float(tilt[1]), float(tilt[2])),
        )
    return poses


def _deviates(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.clip(rng.standard_normal(count), -CLIP, CLIP)
