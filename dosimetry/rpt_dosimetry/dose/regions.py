"""The regions of a table: organs and lesions by number, and what unites several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.labels import ORGANS

from rpt_dosimetry.masks.names import read_organ_table

WHOLE_IMAGE, BODY, REST = "whole_image", "body", "rest"
LARGEST_LESION = np.iinfo(np.uint16).max


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


def check_labels(mask: Volume, *, name: str, largest: int) -> None:
    """Refuse a mask that is not of numbers from 0 to ``largest``, or marks nothing."""
    values = mask.data
    whole = np.isfinite(values).all() and (values >= 0).all() and (values <= largest).all()
    if not whole or (values % 1 != 0).any():
        raise BadInput(
            f"{name} must hold whole numbers from 0 to {largest}, and holds others. "
            "Give a mask of labels, not of probabilities."
        )
    if not values.any():
        raise BadInput(f"{name} must mark something by numbers above 0, and is 0 everywhere.")


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
