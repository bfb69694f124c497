"""The stylised adult of ORNL / MIRD-5 as a patient of one's own: organs, lesions, CT.

Imports run one way: ids, solids → abdomen, thorax, skeleton, outline, tissues → adult →
deformation, body → frames → painting → lesions → voxels → ct, coverage.
"""

from rpt_phantom.stylised.axis_grid import AxisGrid
from rpt_phantom.stylised.body import Pose, StylisedBody, draw_stylised_body, reference_body
from rpt_phantom.stylised.coverage import organs_cut, surely_within
from rpt_phantom.stylised.ct import averaged, ct_image
from rpt_phantom.stylised.deformation import Deformation, draw_deformation
from rpt_phantom.stylised.lesions import StylisedLesion, at_cycle, draw_stylised_lesions
from rpt_phantom.stylised.tissues import Tissue
from rpt_phantom.stylised.voxels import StylisedAnatomy, voxelise

__all__ = [
    "AxisGrid",
    "Deformation",
    "Pose",
    "StylisedAnatomy",
    "StylisedBody",
    "StylisedLesion",
    "Tissue",
    "at_cycle",
    "averaged",
    "ct_image",
    "draw_deformation",
    "draw_stylised_body",
    "draw_stylised_lesions",
    "organs_cut",
    "reference_body",
    "surely_within",
    "voxelise",
]
