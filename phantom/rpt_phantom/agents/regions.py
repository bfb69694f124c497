"""Kinetic regions: which rate constants, blood or pool of excreta a voxel follows."""

from enum import StrEnum

import numpy as np
from jaxtyping import UInt8

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.tissues import Tissue


class Region(StrEnum):
    """What a voxel is to the kinetics."""

    NOTHING = "nothing"  # air, chyme
    KIDNEY_CORTEX = "kidney_cortex"
    KIDNEY_MEDULLA = "kidney_medulla"
    LIVER = "liver"
    SPLEEN = "spleen"
    PAROTID = "parotid"
    SUBMANDIBULAR = "submandibular"  # and sublingual
    DUODENUM = "duodenum"
    JEJUNUM = "jejunum"
    ILEUM = "ileum"
    COLON_WALL = "colon_wall"
    STOMACH_WALL = "stomach_wall"
    OTHER_WALL = "other_wall"  # of heart, gallbladder and bladder
    PANCREAS = "pancreas"
    ADRENAL = "adrenal"
    THYROID = "thyroid"
    LUNG = "lung"
    BRAIN = "brain"
    MUSCLE = "muscle"
    FAT = "fat"
    MARROW = "marrow"  # spongiosa
    CORTICAL_BONE = "cortical_bone"
    LESION = "lesion"
    BLOOD = "blood"
    KIDNEY_PELVIS = "kidney_pelvis"
    BLADDER = "bladder"
    BILE = "bile"
    STOOL = "stool"


POOLS = (Region.KIDNEY_PELVIS, Region.BLADDER, Region.BILE, Region.STOOL)
"""Excreta on their way out."""
TISSUES = tuple(r for r in Region if r not in (Region.NOTHING, Region.BLOOD, *POOLS))
"""Regions with rate constants."""

CODE = {region: code for code, region in enumerate(Region)}

_BY_TISSUE = {
    Tissue.FAT: Region.FAT,
    Tissue.MUSCLE: Region.MUSCLE,
    Tissue.SOFT: Region.MUSCLE,
    Tissue.LUNG: Region.LUNG,
    Tissue.KIDNEY_CORTEX: Region.KIDNEY_CORTEX,
    Tissue.KIDNEY_MEDULLA: Region.KIDNEY_MEDULLA,
    Tissue.KIDNEY_PELVIS: Region.KIDNEY_PELVIS,
    Tissue.WALL: Region.OTHER_WALL,
    Tissue.BLOOD: Region.BLOOD,
    Tissue.SPONGIOSA: Region.MARROW,
    Tissue.CORTICAL_BONE: Region.CORTICAL_BONE,
    Tissue.JEJUNUM: Region.JEJUNUM,
    Tissue.NECROSIS: Region.FAT,  # next to none
}
_BY_ORGAN = {
    Tissue.SOFT: {
        ids.LIVER: Region.LIVER,
        ids.SPLEEN: Region.SPLEEN,
        ids.PANCREAS: Region.PANCREAS,
        ids.ADRENAL_LEFT: Region.ADRENAL,
        ids.ADRENAL_RIGHT: Region.ADRENAL,
        ids.THYROID: Region.THYROID,
        ids.SMALL_BOWEL: Region.ILEUM,
        ids.DUODENUM: Region.DUODENUM,
        ids.BRAIN: Region.BRAIN,
        ids.SPINAL_CORD: Region.BRAIN,
        ids.PROSTATE: Region.OTHER_WALL,
        ids.LACRIMAL_LEFT: Region.PAROTID,
        ids.LACRIMAL_RIGHT: Region.PAROTID,
        ids.PAROTID_LEFT: Region.PAROTID,
        ids.PAROTID_RIGHT: Region.PAROTID,
        ids.SUBMANDIBULAR_LEFT: Region.SUBMANDIBULAR,
        ids.SUBMANDIBULAR_RIGHT: Region.SUBMANDIBULAR,
        ids.SUBLINGUAL_LEFT: Region.SUBMANDIBULAR,
        ids.SUBLINGUAL_RIGHT: Region.SUBMANDIBULAR,
    },
    Tissue.WALL: {ids.COLON: Region.COLON_WALL, ids.STOMACH: Region.STOMACH_WALL},
    Tissue.CONTENT: {
        ids.GALLBLADDER: Region.BILE,
        ids.COLON: Region.STOOL,
        ids.URINARY_BLADDER: Region.BLADDER,
    },
}


def region_codes() -> UInt8[np.ndarray, "organ tissue"]:
    """Return the code of the region of every pair of organ number and tissue."""
    table = np.zeros((256, len(Tissue)), np.uint8)
    for tissue, region in _BY_TISSUE.items():
        table[:, tissue] = CODE[region]
    for tissue, organs in _BY_ORGAN.items():
        for organ, region in organs.items():
            table[organ, tissue] = CODE[region]
    return table
