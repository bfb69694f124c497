"""Parametric maps as files: NIfTI of each parameter and of the flag, and maps.json."""

from pathlib import Path
from typing import Any

from rpt_kinetics.basis import Scan
from rpt_kinetics.command import progress, say
from rpt_kinetics.curves import read_frames, unit_factor
from rpt_kinetics.dynamic import map_files, misfit_name, read_dynamic
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.fit_options import FitOptions
from rpt_kinetics.frames import to_injection
from rpt_kinetics.input_choice import described
from rpt_kinetics.inputs import InputFunction
from rpt_kinetics.measured import ACTIVITY_UNITS
from rpt_kinetics.parametric import FITTED, FLAGS, MAP_UNITS, MAPS
from rpt_kinetics.writing import json_bytes, new_folder

WEIGHTS_STATED = "the table's standard deviations, taken as those of one voxel"
MISFIT_STATED = "chi-square per degree of freedom: about 1 if model and deviations are right"
MISFIT_COUNTED = "root mean square residual, weighted like the frames; it has no expected value"
WEIGHTS_COUNTED = "inverse variance as duration times the mean of e^(-lambda t), ours"


def write_maps(
    dynamic_path: Path,
    options: FitOptions,
    *,
    frames_path: Path,
    mask_path: Path,
    unit: str,
    out: Path,
) -> None:
    """Write parametric maps as NIfTI and ``maps.json``.

    Args:
        dynamic_path: 4-D NIfTI.
        options: What to fit, and how the data are to be read.
        frames_path: CSV, see :func:`curves.read_frames`.
        mask_path: NIfTI on the same grid.
        unit: Of the image, a name of :data:`measured.ACTIVITY_UNITS`.
        out: New or empty folder.

    Raises:
        BadInput: The input is at fault, or no voxel can be fitted.
    """
    _check(options, unit)
    input_function, files = options.input_function()
    frames, correction, deviation = read_frames(
        frames_path,
        unit=input_function.unit,
        decay_correction=options.decay_correction,
        injection_min=options.injection_min,
    )
    factor = to_injection(frames, correction, half_life_min=options.half_life)
    scan = Scan.of(
        frames, input_function, half_life_min=options.half_life, delay_min=options.delay_min
    )
    dynamic = read_dynamic(dynamic_path, mask_path, frames=len(frames))
    with new_folder(out) as folder:
        images, counts = map_files(
            dynamic,
            scan,
            progress(list(dynamic.batches()), "fitting voxels"),
            model=options.model,
            vb=options.vb,
            factor=factor * unit_factor(ACTIVITY_UNITS[unit], input_function.unit),
            standard_deviation=None if deviation is None else deviation * factor,
        )
        for name, image in images.items():
            (folder / name).write_bytes(image)
        content = _content(options.model, input_function, counts, deviation) | {
            "provenance": options.provenance(
                [dynamic_path, frames_path, mask_path, *files], library="nibabel", unit=unit
            ),
        }
        (folder / "maps.json").write_bytes(json_bytes(content))
    say(f"{out.name}: {counts[FITTED]} of {dynamic.voxels} voxels fitted.")


def _check(options: FitOptions, unit: str) -> None:
    if options.model not in MAPS:
        raise BadInput(
            f"--model must be {' or '.join(MAPS)} for maps, got '{options.model}'. "
            "Fit other models to the curve of a region."
        )
    if unit not in ACTIVITY_UNITS:
        raise BadInput(
            f"--unit must be one of {', '.join(ACTIVITY_UNITS)}, got '{unit}'. Look up what the "
            "image holds, and convert it if its unit is none of these."
        )


def _content(
    model: str, input_function: InputFunction, counts: dict[int, int], deviation: Floats | None
) -> dict[str, Any]:
    misfit_unit = input_function.unit if deviation is None else "1"
    return {
        "model": model,
        "maps": {f"{name}.nii.gz": MAP_UNITS[name] for name in MAPS[model]}
        | {f"{misfit_name(deviation)}.nii.gz": misfit_unit},
        "misfit": MISFIT_COUNTED if deviation is None else MISFIT_STATED,
        "not_fitted": "NaN",
        "flag.nii.gz": {
            str(number): {"meaning": meaning, "voxels": counts[number]}
            for number, meaning in FLAGS.items()
        },
        "voxels_in_mask": sum(n for number, n in counts.items() if number),
        "frame_weights": WEIGHTS_COUNTED if deviation is None else WEIGHTS_STATED,
        "input": described(input_function),
    }
