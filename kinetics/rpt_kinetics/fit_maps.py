"""Parametric maps as files: NIfTI of each parameter and of the flag, and maps.json."""

from pathlib import Path

from rpt_kinetics.basis import Scan
from rpt_kinetics.command import progress, say
from rpt_kinetics.curves import read_frames, unit_factor
from rpt_kinetics.dynamic import map_files, read_dynamic
from rpt_kinetics.errors import BadInput
from rpt_kinetics.fit_options import FitOptions, described
from rpt_kinetics.frames import to_injection
from rpt_kinetics.measured import UNITS
from rpt_kinetics.parametric import FITTED, FLAGS, MAP_UNITS, MAPS
from rpt_kinetics.writing import json_bytes, new_folder

WEIGHTS_STATED = "the table's standard deviations"
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
        unit: Of the image, a name of :data:`measured.UNITS`.
        out: New or empty folder.

    Raises:
        BadInput: The input is at fault, or no voxel can be fitted.
    """
    if options.model not in MAPS:
        raise BadInput(
            f"--model must be {' or '.join(MAPS)} for maps, got '{options.model}'. "
            "Fit other models to the curve of a region."
        )
    if unit not in UNITS:
        raise BadInput(f"--unit must be one of {', '.join(UNITS)}, got '{unit}'.")
    input_function, files = options.input_function()
    frames, correction, deviation = read_frames(
        frames_path,
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
            factor=factor * unit_factor(UNITS[unit], input_function.unit),
            standard_deviation=None if deviation is None else deviation * factor,
        )
        for name, image in images.items():
            (folder / name).write_bytes(image)
        content = {
            "model": options.model,
            "maps": {f"{name}.nii.gz": MAP_UNITS[name] for name in MAPS[options.model]},
            "not_fitted": "NaN",
            "flag.nii.gz": {
                str(number): {"meaning": meaning, "voxels": counts[number]}
                for number, meaning in FLAGS.items()
            },
            "voxels_in_mask": dynamic.voxels,
            "frame_weights": WEIGHTS_COUNTED if deviation is None else WEIGHTS_STATED,
            "input": described(input_function),
            "provenance": options.provenance(
                [dynamic_path, frames_path, mask_path, *files], library="nibabel", unit=unit
            ),
        }
        (folder / "maps.json").write_bytes(json_bytes(content))
    say(f"{out.name}: {counts[FITTED]} of {dynamic.voxels} voxels fitted.")
