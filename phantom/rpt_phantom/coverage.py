"""Whether the field of view holds the organs whose dose is asked for."""

from collections.abc import Sequence

from rpt_cohort import BadInput
from rpt_cohort.labels import ORGANS

from rpt_phantom.fast_spect import FOV_EDGE_SLICES
from rpt_phantom.grid import SPACING_MM
from rpt_phantom.stylised import organs_cut
from rpt_phantom.truth import VirtualTruth


def check_names(organs: Sequence[str]) -> None:
    """Refuse organs that no table knows.

    Raises:
        BadInput: There is one.
    """
    for organ in organs:
        if organ not in ORGANS:
            raise BadInput(f"organs must be of {', '.join(ORGANS)}, or none, got {organ!r}.")


def refuse_cut(truth: VirtualTruth, organs: Sequence[str], *, name: str) -> None:
    """Refuse a field of view that cuts an organ, or does not reach it.

    Args:
        truth: The patient.
        organs: Names of ``rpt_cohort.labels.ORGANS``.
        name: Of the case, for the sentence.

    Raises:
        BadInput: It does so.
    """
    slices = truth.box.case.shape[2]
    half_mm = (slices / 2 - FOV_EDGE_SLICES) * SPACING_MM
    cut = organs_cut(truth.anatomy, low_mm=-half_mm, high_mm=half_mm)
    for organ in organs:
        missing = [one for one in ORGANS[organ] if not (truth.organs == one).any()]
        if missing or cut & set(ORGANS[organ]):
            raise BadInput(
                f"{name}: The field of view must hold the {organ.replace('_', ' ')} whole, and "
                f"{slices} slices do not. Ask for more slices, or leave the {organ} out of "
                "--organs."
            )
