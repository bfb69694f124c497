"""Tissues within organs, with their CT number and density.

Source: densities of soft tissue (1.04 g/mL) and lung (0.296 g/mL) from the report (Cristy &
Eckerman, ORNL/TM-8381, 1987). CT numbers are usual values; fat, bone and lesion densities are
those that Schneider's curve (Phys Med Biol 45 (2000) 459) gives for them, so that a density
from the CT agrees with the true one. The report's mean of the skeleton, 1.4 g/mL, lies between
our spongiosa and cortical bone and is used for published masses alone.
"""

from enum import IntEnum

import numpy as np
from jaxtyping import Float32

from rpt_phantom.anatomy import ids


class Tissue(IntEnum):
    """What a voxel is made of; each voxel has one."""

    AIR = 0
    SOFT = 1  # an organ that is not divided further
    FAT = 2  # subcutaneous, around the bowel and around the kidneys
    MUSCLE = 3  # all else that belongs to no organ
    LUNG = 4
    KIDNEY_CORTEX = 5
    KIDNEY_MEDULLA = 6
    KIDNEY_PELVIS = 7
    WALL = 8  # of stomach, gallbladder, colon, bladder and heart
    CONTENT = 9  # of stomach, gallbladder, colon and bladder
    BLOOD = 10  # in heart and great vessels
    SPONGIOSA = 11  # holds the active marrow
    CORTICAL_BONE = 12
    JEJUNUM = 13  # the proximal part of the small bowel
    NECROSIS = 14  # within a lesion


SOFT_G_PER_ML, LUNG_G_PER_ML = 1.04, 0.296
"""Of the report."""

HU_AND_DENSITY: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (-1000, 0.00121),
    Tissue.SOFT: (45, SOFT_G_PER_ML),
    Tissue.FAT: (-100, 0.93),
    Tissue.MUSCLE: (52, SOFT_G_PER_ML),
    Tissue.LUNG: (-715, LUNG_G_PER_ML),
    Tissue.KIDNEY_CORTEX: (34, SOFT_G_PER_ML),
    Tissue.KIDNEY_MEDULLA: (30, SOFT_G_PER_ML),
    Tissue.KIDNEY_PELVIS: (10, 1.02),
    Tissue.WALL: (40, SOFT_G_PER_ML),
    Tissue.CONTENT: (10, 1.02),
    Tissue.BLOOD: (42, 1.05),
    Tissue.SPONGIOSA: (220, 1.147),
    Tissue.CORTICAL_BONE: (700, 1.431),
    Tissue.JEJUNUM: (35, SOFT_G_PER_ML),
    Tissue.NECROSIS: (20, 1.03),
}
"""HU and g/mL."""

WALL_MM = {
    ids.STOMACH: 5.0,
    ids.COLON: 4.0,
    ids.URINARY_BLADDER: 3.0,
    ids.GALLBLADDER: 2.0,
    ids.HEART: 9.0,
}
"""Thickness of the wall of what is hollow; ours."""
BONE_CORTEX_MM = 2.5
"""Thickness of a bone's cortex; ours."""

SCLEROTIC_HU, SCLEROTIC_G_PER_ML = 550.0, 1.342
"""Of a bone metastasis; a lymph node looks like soft tissue."""

SOFT_HU = {ids.LIVER: 58.0, ids.SPLEEN: 50.0, ids.PANCREAS: 40.0, ids.BRAIN: 35.0}
"""Where an undivided organ differs from ``Tissue.SOFT``."""

CELLULARITY = {
    **dict.fromkeys((*ids.SPINE, *ids.RIBS, ids.STERNUM, ids.SACRUM, ids.S1), 0.70),
    **dict.fromkeys((ids.HIP_LEFT, ids.HIP_RIGHT), 0.48),
    **dict.fromkeys(ids.LIMBS, 0.25),
    **dict.fromkeys((ids.SKULL, ids.SCAPULA_LEFT, ids.SCAPULA_RIGHT), 0.38),
    **dict.fromkeys((ids.CLAVICLE_LEFT, ids.CLAVICLE_RIGHT), 0.33),
}
"""Active share of the marrow, age 40. Source: ICRP Publication 70 (1995)."""
MARROW_OF_SPONGIOSA = 0.85
"""Volume of marrow, active or not, in spongiosa; the rest is trabecular bone. Ours, rounded."""


def hu_table() -> Float32[np.ndarray, "organ tissue"]:
    """Return the CT number of every pair of organ number and tissue, HU."""
    row = np.array([HU_AND_DENSITY[tissue][0] for tissue in Tissue], np.float32)
    table = np.tile(row, (256, 1))
    for organ, organ_hu in SOFT_HU.items():
        table[organ, Tissue.SOFT] = organ_hu
    return table


def density_table() -> Float32[np.ndarray, " tissue"]:
    """Return the density of every tissue, g/mL."""
    return np.array([HU_AND_DENSITY[tissue][1] for tissue in Tissue], np.float32)
