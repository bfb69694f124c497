"""The work of the ``dose`` command: from files to a folder, whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rpt_cohort import BadInput, json_bytes, new_folder, nifti_bytes, provenance

from rpt_dosimetry.dose.activity_series import check_totals
from rpt_dosimetry.dose.calculation import Choices, CycleDose, calculate
from rpt_dosimetry.dose.curves import refuse_rising_image
from rpt_dosimetry.dose.cycle_table import SUMMARY, TABLE
from rpt_dosimetry.dose.inputs import CycleImages, Files, read_images
from rpt_dosimetry.dose.regions import Region
from rpt_dosimetry.dose.summary import doubts, summarise
from rpt_dosimetry.dose.table import table_csv
from rpt_dosimetry.dose.therapy import Therapy

DOSE, DOSE_GY, TIA = "dose.nii.gz", "dose_gy.nii.gz", "tia.nii.gz"


def write_dose(
    files: Files,
    therapy: Therapy,
    choices: Choices,
    *,
    parameters: Mapping[str, Any],
    warnings: Sequence[str],
    out: Path,
) -> tuple[CycleDose, list[str]]:
    """Compute the dose of one cycle and write its folder.

    Args:
        files: The images.
        therapy: What was given, and when the scans were.
        choices: Engine and options.
        parameters: What the provenance is to tell of them.
        warnings: What is to be told first.
        out: Folder to write; must be new or empty.

    Returns:
        The dose, and warnings, each a sentence.

    Raises:
        BadInput: Something given cannot be used; nothing is left behind.
    """
    with new_folder(out) as folder:
        images = read_images(files)
        _check_names(choices, images.regions)
        total = images.series.total_mbq()
        said = [*warnings, *check_totals(total, therapy, paths=files.activities)]
        refuse_rising_image(total)
        result = calculate(
            images.series,
            images.regions,
            therapy,
            choices,
            density_g_per_ml=images.density_g_per_ml,
        )
        said += doubts(therapy, choices, result)
        told = summarise(images.series, therapy, choices, result)
        told["warnings"] = said
        told["provenance"] = provenance(
            package="rpt-dosimetry",
            command="dose",
            parameters=parameters,
            inputs=files.sha256(),
            libraries=("icrp107-database", "nibabel", "numpy", "scipy", "xraydb"),
        )
        _write_maps(folder, images, result, therapy)
        (folder / TABLE).write_bytes(table_csv(result.rows))
        (folder / SUMMARY).write_bytes(json_bytes(told))
    return result, said


def _write_maps(folder: Path, images: CycleImages, result: CycleDose, therapy: Therapy) -> None:
    maps = {
        DOSE: result.dose_gy / therapy.net_gbq,
        DOSE_GY: result.dose_gy,
        TIA: result.tia.mbq_h_per_ml,
    }
    for name, values in maps.items():
        content = nifti_bytes(values, images.series.grid.affine, dtype=np.float32)
        (folder / name).write_bytes(content)


def _check_names(choices: Choices, regions: list[Region]) -> None:
    tissues = choices.told.tissues
    known = [region.name for region in regions]
    known += ["lesion"] if any(region.kind == "lesion" for region in regions) else []
    for name in [*tissues.alpha_beta_gy, *tissues.repair_half_time_h]:
        if name not in known:
            raise BadInput(
                f"--alpha-beta and --repair-half-time-h must name a region of the masks, one of "
                f"{', '.join(known)}, got '{name}'."
            )
