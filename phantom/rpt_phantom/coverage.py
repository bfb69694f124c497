"""Whether the field of view holds the organs whose dose is asked for."""

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
from rpt_cohort import BadInput
from rpt_cohort.command import progress
from rpt_cohort.labels import ORGANS

from rpt_phantom.anatomy import (
    Anatomy,
    Body,
    organs_cut,
    sized_body,
    surely_within,
)
from rpt_phantom.fast_spect import FOV_EDGE_SLICES
from rpt_phantom.grid import SLICES_MOST, SPACING_MM
from rpt_phantom.presets import patient_number
from rpt_phantom.settings import Settings
from rpt_phantom.truth import virtual_person, virtual_place


def check_organs(settings: Settings, organs: Sequence[str]) -> None:
    """Refuse organs that no table knows, or that the anatomy has not, or not whole.

    Args:
        settings: Of the cohort.
        organs: That the field of view must hold whole.

    Raises:
        BadInput: There is one, or the anatomy cannot be read.
    """
    for organ in organs:
        if organ not in ORGANS:
            raise BadInput(f"organs must be among {', '.join(ORGANS)}, or none, got {organ!r}.")
    for atlas in settings.atlases():
        for organ in organs:
            name = organ.replace("_", " ")
            if not set(ORGANS[organ]) & set(atlas.boxes_mm):
                raise BadInput(
                    f"The anatomy must have the {name}, which --organs asks for, and it has no "
                    f"{name}. Leave {organ} out of --organs."
                )
            if set(ORGANS[organ]) & atlas.cut:
                raise BadInput(
                    f"The anatomy must hold the {name} whole, and its CT ends within it. Leave "
                    f"{organ} out of --organs, or give a longer CT."
                )


def refuse_cut(
    anatomy: Anatomy, body: Body, organs: Sequence[str], *, slices: int, name: str
) -> None:
    """Refuse a field of view that cuts an organ, or does not reach it.

    Args:
        anatomy: The patient, on a grid longer than the field of view.
        body: The same, wherever: it may have a single kidney.
        organs: Names of ``rpt_cohort.labels.ORGANS``.
        slices: Of the field of view.
        name: Of the case, for the sentence.

    Raises:
        BadInput: It does so.
    """
    half_mm = _half_mm(slices)
    cut = organs_cut(anatomy, low_mm=-half_mm, high_mm=half_mm)
    seen = np.abs(anatomy.grid.positions_mm(2)) <= half_mm
    there = set(np.unique(anatomy.organs[:, :, seen]).tolist())
    more = "Ask for more slices, or" if slices < SLICES_MOST else "There are no more slices;"
    owned = set(body.atlas.boxes_mm)
    for organ in organs:
        wanted = set(ORGANS[organ]) & owned
        if not wanted or not wanted <= there or cut & wanted:
            raise BadInput(
                f"{name}: The field of view must hold the {organ.replace('_', ' ')} whole, and "
                f"{slices} slices do not. {more} leave {organ} out of --organs."
            )


def refuse_cut_cohort(
    settings: Settings, cycles: Mapping[str, Sequence[int]], organs: Sequence[str]
) -> None:
    """Refuse a cohort in which the field of view cuts an organ, before any of it is made.

    Looked at on voxels of 4.8 mm; each cycle is looked at on 2.4 mm again as it is made.

    Args:
        settings: Of the cohort.
        cycles: Patient → numbers of the cycles.
        organs: Names of ``rpt_cohort.labels.ORGANS``.

    Raises:
        BadInput: There is one.
    """
    if not organs:
        return
    numbers = {one for organ in organs for one in ORGANS[organ]}
    half_mm = _half_mm(settings.slices)
    cases = [(patient, cycle) for patient, of in cycles.items() for cycle in of]
    with closing(progress(cases, "Fields of view")) as shown:
        for name, cycle in shown:
            number = patient_number(name)
            person = virtual_person(seed=settings.seed, patient=number)
            sized = [
                sized_body(atlas, weight_kg=person.weight_kg, height_cm=person.height_cm)
                for atlas in settings.atlases()
            ]
            if all(surely_within(one, numbers, low_mm=-half_mm, high_mm=half_mm) for one in sized):
                continue
            place = virtual_place(settings, person, patient=number, cycle=cycle)
            anatomy = place.voxels(place.box.coarse)
            refuse_cut(anatomy, place.body, organs, slices=settings.slices, name=f"{name}/C{cycle}")


def _half_mm(slices: int) -> float:
    """Return half the length along which the dose is known, mm."""
    return (slices / 2 - FOV_EDGE_SLICES) * SPACING_MM
