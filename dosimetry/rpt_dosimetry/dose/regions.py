"""The regions of a table: organs and lesions by number, and what unites several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.labels import (
    KIDNEY_LEFT,
    KIDNEY_RIGHT,
    LARGEST,
    LIVER,
    ORGANS,
    REMAINING_BODY,
    SPLEEN,
)

ORGAN_NAMES = {
    SPLEEN: "spleen",
    KIDNEY_RIGHT: "kidney_right",
    KIDNEY_LEFT: "kidney_left",
    LIVER: "liver",
    REMAINING_BODY: "remaining_body",
}
"""Other numbers are called ``organ_NUMBER``."""
WHOLE_IMAGE, BODY, REST = "whole_image", "body", "rest"
LARGEST_LESION = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Region:
    """Voxels that make one row of the table.

    Attributes:
        name: What the table and the options call it.
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
    numbers, such as the kidneys; each is of what is there.

    Args:
        shape: Of the volume.
        organs: Organ numbers, whole.
        lesions: Lesion numbers, whole.
    """
    image = Region(WHOLE_IMAGE, "image", None, np.arange(int(np.prod(shape))))
    found = [image]
    if organs is not None:
        found += _of_labels(organs, "organ")
        found += _unions(found[1:])
    if lesions is not None:
        found += _of_labels(lesions, "lesion")
    return found + _rest(found)


def check_labels(mask: Volume, *, name: str, largest: int) -> None:
    """Refuse a mask that is not of numbers from 0 to ``largest``, or marks nothing.

    Raises:
        BadInput: It is so.
    """
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
    for label, voxels in zip(labels, np.split(marked[order], starts[1:]), strict=True):
        name = f"lesion_{label}" if kind == "lesion" else _organ_name(int(label))
        yield Region(name, kind, int(label), voxels)


def _rest(regions: list[Region]) -> list[Region]:
    image, *others = regions
    if not others:
        return []
    free = np.ones(image.voxels.size, bool)
    for region in others:
        free[region.voxels] = False
    left = np.flatnonzero(free)
    return [Region(REST, "rest", None, left)] if left.size else []


def _organ_name(label: int) -> str:
    return ORGAN_NAMES.get(label, f"organ_{label}")


def _unions(organs: list[Region]) -> list[Region]:
    wanted = {BODY: tuple(range(1, LARGEST + 1))}
    wanted |= {name: labels for name, labels in ORGANS.items() if len(labels) > 1}
    unions = []
    for name, labels in wanted.items():
        parts = [organ.voxels for organ in organs if organ.label in labels]
        if parts:
            unions.append(Region(name, "union", None, np.sort(np.concatenate(parts))))
    return unions
