"""A patient's anatomy: a label map of real organs, deformed into a body of his own, with lesions.

Imports run one way: ids → tissues → atlas → deformation → body → lesions → voxels; atlas → own.
``make_atlas`` makes the shipped map and is run by hand.
"""

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.atlas import Atlas, shipped_atlas, shipped_atlases
from rpt_phantom.anatomy.body import Body, draw_body, sized_body
from rpt_phantom.anatomy.lesions import Lesion, at_cycle, draw_lesions
from rpt_phantom.anatomy.own import OwnAnatomy, own_atlas
from rpt_phantom.anatomy.tissues import Tissue
from rpt_phantom.anatomy.voxels import (
    Anatomy,
    averaged,
    ct_image,
    organs_cut,
    surely_within,
    voxelise,
    world_box_mm,
)

__all__ = [
    "Anatomy",
    "Atlas",
    "Body",
    "Lesion",
    "OwnAnatomy",
    "Tissue",
    "at_cycle",
    "averaged",
    "ct_image",
    "draw_body",
    "draw_lesions",
    "ids",
    "organs_cut",
    "own_atlas",
    "shipped_atlas",
    "shipped_atlases",
    "sized_body",
    "surely_within",
    "voxelise",
    "world_box_mm",
]
