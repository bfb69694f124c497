"""The part of the patient that the grid does not hold, so that the balance is the whole body's."""

import numpy as np
from jaxtyping import Float

from rpt_phantom.agents.regions import CODE, POOLS, Region

STANDARD_WEIGHT_KG = 90.0
"""Of the man whose volumes follow, kg; see `rpt_phantom.anatomy.atlas`."""
STANDARD_ML = {
    Region.KIDNEY_CORTEX: 274.0,
    Region.KIDNEY_MEDULLA: 67.0,
    Region.LIVER: 1748.0,
    Region.SPLEEN: 251.0,
    Region.PAROTID: 51.0,
    Region.SUBMANDIBULAR: 20.0,
    Region.DUODENUM: 48.0,
    Region.JEJUNUM: 568.0,
    Region.ILEUM: 292.0,
    Region.COLON_WALL: 722.0,
    Region.STOMACH_WALL: 140.0,
    Region.OTHER_WALL: 427.0,
    Region.PANCREAS: 88.0,
    Region.ADRENAL: 2.0,
    Region.THYROID: 11.0,
    Region.LUNG: 4809.0,
    Region.BRAIN: 1851.0,
    Region.KIDNEY_PELVIS: 16.0,
    Region.BLADDER: 128.0,
    Region.BILE: 13.0,
    Region.STOOL: 1892.0,
}
"""mL, of the shipped map of the man, voxelised."""
REST_SHARE = {
    Region.MUSCLE: 0.62,
    Region.FAT: 0.27,
    Region.MARROW: 0.06,
    Region.CORTICAL_BONE: 0.05,
}
"""Of the mass beyond the grid that is no organ: arms, legs, shoulders. Ours."""
REST_G_PER_ML = {
    Region.MUSCLE: 1.04,
    Region.FAT: 0.93,
    Region.MARROW: 1.147,
    Region.CORTICAL_BONE: 1.431,
}
LUNG_G_PER_ML, SOFT_G_PER_ML = 0.296, 1.04
"""As in `rpt_phantom.anatomy.tissues`."""
BLOOD_ML_PER_KG = 70.0
"""Whole blood, mL per kg of body weight. Source: ICRP Publication 89 (5.3 L at 73 kg)."""


def off_grid_ml(
    in_grid_ml: Float[np.ndarray, " region"],
    ends: frozenset[int],
    *,
    mass_kg: float,
    weight_kg: float,
) -> Float[np.ndarray, " region"]:
    """Return the volume of each region beyond the grid, mL; blood has none here.

    An organ that lies whole within the grid has none. One that is absent, or goes on beyond the
    grid or the label map, has what lacks to the standard adult's volume at this weight. What then
    lacks to the body weight is muscle, fat and bone.

    Args:
        in_grid_ml: Volume in the grid by code of region, mL.
        ends: Codes of the regions of organs that go on.
        mass_kg: Mass in the grid, kg.
        weight_kg: Body weight, kg.
    """
    beyond: Float[np.ndarray, " region"] = np.zeros(len(Region))
    missing_kg = weight_kg - mass_kg
    for region, standard_ml in STANDARD_ML.items():
        code = CODE[region]
        if in_grid_ml[code] == 0 or code in ends:
            whole_ml = standard_ml * weight_kg / STANDARD_WEIGHT_KG
            beyond[code] = max(0.0, whole_ml - in_grid_ml[code])
        if region not in POOLS:
            density = LUNG_G_PER_ML if region == Region.LUNG else SOFT_G_PER_ML
            missing_kg -= beyond[code] * density / 1000.0
    for region, share in REST_SHARE.items():
        beyond[CODE[region]] = max(0.0, missing_kg) * 1000.0 * share / REST_G_PER_ML[region]
    return beyond
