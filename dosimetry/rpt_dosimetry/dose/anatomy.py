"""The patient on the grid of the activities: organs and lesions by number, density by the CT."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from rpt_cohort import BadInput, Volume
from rpt_cohort.labels import ORGANS

from rpt_dosimetry.masks.names import read_organ_table

WHOLE_IMAGE, BODY, REST = "whole_image", "body", "rest"


@dataclass(frozen=True)
class Region:
    """Voxels that make one row of the table.

    Attributes:
        kind: ``image``, ``organ``, ``lesion``, ``union`` of several organs, or ``rest`` of the
            image, in no organ and no lesion.
        label: Its number in the mask; ``None`` for the other kinds.
        voxels: Indices into the flattened volume, ascending.
    """

    name: str
    kind: str
    label: int | None
    voxels: Int[np.ndarray, " n"]


def find_regions(
    *,
    shape: tuple[int, int, int],
    organs: Shaped[np.ndarray, "x y z"] | None,
    lesions: Shaped[np.ndarray, "x y z"] | None,
) -> list[Region]:
    """List the regions: the image, organs, their unions, lesions, and what no mask marks.

    The unions are the body (every organ) and those of ``rpt_cohort.labels.ORGANS`` that unite
    numbers, such as the kidneys; each is of what is there. Organs have the names of
    ``masks/organs.csv``, a number that it lacks is called ``organ_NUMBER``. After image and body
    come the organs of ``ORGANS``, each union before its parts, then the lesions, then the other
    organs by number, and the rest of the image.
    """
    image = Region(WHOLE_IMAGE, "image", None, np.arange(int(np.prod(shape))))
    organ_regions = [] if organs is None else list(_of_labels(organs, "organ"))
    found = [image, *_union(BODY, organ_regions)]
    for name, labels in ORGANS.items():
        parts = [region for region in organ_regions if region.label in labels]
        found += [*(_union(name, parts) if len(labels) > 1 else []), *parts]
    if lesions is not None:
        found += _of_labels(lesions, "lesion")
    foremost = {label for labels in ORGANS.values() for label in labels}
    found += [region for region in organ_regions if region.label not in foremost]
    return found + _rest(found)


def lesion_shares(regions: Sequence[Region]) -> dict[str, float]:
    """Return organ → share of its voxels that are in a lesion."""
    lesions = [region.voxels for region in regions if region.kind == "lesion"]
    if not lesions:
        return {}
    marked = np.concatenate(lesions)
    return {
        region.name: float(np.isin(region.voxels, marked).mean())
        for region in regions
        if region.kind == "organ"
    }


def _of_labels(mask: Shaped[np.ndarray, "x y z"], kind: str) -> Iterator[Region]:
    flat = mask.ravel()
    marked = np.flatnonzero(flat)
    if not marked.size:
        return
    numbers = flat[marked].astype(np.int64)
    order = np.argsort(numbers, kind="stable")  # stable: the voxels stay ascending
    labels, starts = np.unique(numbers[order], return_index=True)
    names = read_organ_table().names if kind == "organ" else {}
    for label, voxels in zip(labels.tolist(), np.split(marked[order], starts[1:]), strict=True):
        yield Region(names.get(label, f"{kind}_{label}"), kind, label, voxels)


def _rest(regions: list[Region]) -> list[Region]:
    image, *others = regions
    if not others:
        return []
    free = np.ones(image.voxels.size, bool)
    for region in others:
        free[region.voxels] = False
    left = np.flatnonzero(free)
    return [Region(REST, "rest", None, left)] if left.size else []


def _union(name: str, parts: Sequence[Region]) -> list[Region]:
    if not parts:
        return []
    voxels = np.sort(np.concatenate([part.voxels for part in parts]))
    return [Region(name, "union", None, voxels)]


_HU = (-1000.0, -98.0, -97.0, 14.0, 23.0, 100.0, 101.0, 1600.0, 3000.0)
_G_PER_ML = (0.00121, 0.93, 0.930486, 1.03, 1.031, 1.1199, 1.0762, 1.9642, 2.8)

LOWEST_G_PER_ML = 0.2
"""Ours: thinner voxels count as this thin in the dose. Activity that SPECT shows in air is
blur from tissue, and divided by the mass of air it would be a thousandfold dose; lung at
full inspiration is about as thin as this."""

PADDING_BELOW_HU = -1100.0
"""Below are no CT numbers but what scanners write outside their round field of view."""
AIR_BELOW_HU = -200.0
"""Ours: fat is above, lung and air are below; a CT of a trunk has both sides."""
SOFT_HU = 150.0
"""Ours: soft tissues, fat to contrast, are within ±150 HU."""
STORED_TISSUE_FROM = 800.0
"""Ours: where stored values without their intercept of about −1000 have soft tissue."""
NEGATIVE_BELOW_HU = -10.0
"""Ours: fat or noise puts some of any soft tissue below; stored values and attenuation maps have
no such values."""
LEAST_BODY_G_PER_ML, MOST_BODY_G_PER_ML = 0.85, 1.2
"""Ours: of a body's mean density, lungs and bones included; HU + 1000 would give about 1.6."""


def mass_density_g_per_ml(ct_hu: Shaped[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """Convert CT numbers to mass density.

    Linear between the nodes; below −1000 HU the density of air, above 3000 HU 2.8 g/mL. The
    density falls from 100 to 101 HU, where the soft tissues end and the skeleton begins.

    Source: W. Schneider, Bortfeld & Schlegel, Phys Med Biol 45 (2000) 459, as tabulated in
    GATE's ``Schneider2000DensitiesTable.txt``. Its tissues were matched to one scanner at
    120 kV; another's calibration may differ by some percent in bone.
    """
    density: Float[np.ndarray, "x y z"] = np.interp(ct_hu, _HU, _G_PER_ML)
    return density


MATERIALS = ("lung", "soft", "bone")
"""Of ``radiation.media``, by rising CT number."""
MATERIAL_FROM_HU = (-120.0, 101.0)
"""Where soft tissue and skeleton begin. Source: the classes of Schneider et al. 2000, table 6; fat
counts as soft tissue and air as lung, from which its density tells it (ours)."""


@dataclass(frozen=True)
class VoxelMedium:
    """What fills each voxel of a patient.

    Attributes:
        ct_g_per_ml: Mass density as the CT has it.
        material: Index into ``MATERIALS``.
    """

    ct_g_per_ml: Float[np.ndarray, "x y z"]
    material: UInt8[np.ndarray, "x y z"]

    @property
    def density_g_per_ml(self) -> Float[np.ndarray, "x y z"]:
        """What a dose may be divided by: at least ``LOWEST_G_PER_ML``."""
        return np.asarray(np.maximum(self.ct_g_per_ml, LOWEST_G_PER_ML))


def voxel_medium(ct_hu: Shaped[np.ndarray, "x y z"]) -> VoxelMedium:
    """Tell density and material of each voxel by its CT number."""
    material = np.digitize(ct_hu, MATERIAL_FROM_HU).astype(np.uint8)
    return VoxelMedium(mass_density_g_per_ml(ct_hu), material)


def check_hu(ct: Volume, *, name: str) -> None:
    """Refuse a volume that cannot be a CT of a patient in HU.

    Raises:
        BadInput: Values are not finite, all are air, or none is air and they are not like soft
            tissue: stored values without their intercept, an attenuation map, a constant.
    """
    if not np.isfinite(ct.data).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew, in HU.")
    real = ct.data[ct.data >= PADDING_BELOW_HU]
    air = real < AIR_BELOW_HU
    if not real.size or air.all() or not (air.any() or _like_soft_tissue(real)):
        raise BadInput(
            f"{name} must be in HU, with air (below {AIR_BELOW_HU:g} HU) and tissue or with soft "
            f"tissue alone, got {float(ct.data.min()):.6g} to {float(ct.data.max()):.6g}. Apply "
            "the rescale slope and intercept of the series."
        )


def body_g_per_ml(
    density_g_per_ml: Float[np.ndarray, "x y z"], *, organ_voxels: Int[np.ndarray, " n"] | None
) -> float:
    """Return the mean density of the patient, g/mL; 0 where there is none.

    Args:
        organ_voxels: All organs, as indices into the flattened volume; ``None`` takes what is
            denser than ``LOWEST_G_PER_ML``.
    """
    if organ_voxels is None:
        body = density_g_per_ml[density_g_per_ml > LOWEST_G_PER_ML]
    else:
        body = density_g_per_ml.ravel()[organ_voxels]
    return float(body.mean()) if body.size else 0.0


def _like_soft_tissue(hu: Shaped[np.ndarray, " n"]) -> bool:
    """Tell soft tissue without air around it: a crop inside the patient."""
    above = hu[hu > SOFT_HU]
    # Bone: its median is some hundred HU. Of stored values it is tissue, at about 1000.
    bone = above.size == 0 or float(np.median(above)) < STORED_TISSUE_FROM
    return bone and abs(float(np.median(hu))) <= SOFT_HU and bool(hu.min() < NEGATIVE_BELOW_HU)
