"""``dvh``: the histogram of one dose map in one mask as a table, and its numbers as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rpt_cohort import (
    BadInput,
    Volume,
    file_sha256,
    json_bytes,
    provenance,
    read_volume,
    write_together,
)
from rpt_cohort.command import refuse_existing, warn
from rpt_cohort.volumes import turned_to_ras

from rpt_eval.cycles import refuse_impossible
from rpt_eval.dvh import Dvh
from rpt_eval.dvh_sampling import choose_supersampling, mask_dvh, on_dose_grid
from rpt_eval.regions import SMALLEST_VOXELS

SMALL_HOT_ML = 2.0
"""D2cc: the dose of the hottest 2 mL, where there are as many."""
STEPS = 2000
"""Of the table, from dose 0 to the maximum."""
DX_PCT = (2, 5, 10, 50, 90, 95, 98)
VX_LEVELS = {
    "gy": (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 23.0, 28.0),
    "gy_per_gbq": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
}
"""Ours; 23 and 28 Gy are the limits for kidneys in external-beam therapy."""
LARGEST = {
    "gy": (5000.0, "Gy", "mGy"),
    "gy_per_gbq": (100.0, "Gy/GBq", "Gy or mGy/GBq"),
}
"""Ours: 100 Gy/GBq as in a cohort's check, and that times 50 GBq, the largest activity."""
SHOWN_LABELS = 20
UNIT_OF_NAME = {"dose.nii.gz": "gy_per_gbq", "dose_gy.nii.gz": "gy"}
"""By the contract."""
UNIT_OF_WORD = {"gy": "gy", "gy/gbq": "gy_per_gbq", "mgy/mbq": "gy_per_gbq"}
"""As a JSON beside a dose tells it, in small letters."""
DOSE, PER_ACTIVITY = "absorbed dose", "absorbed dose per administered activity"


def write_dvh(
    dose: Path,
    mask: Path,
    out: Path,
    *,
    label: int | None,
    unit: str | None,
    overwrite: bool = False,
) -> None:
    """Write the cumulative histogram of a mask as CSV, and its metrics as JSON beside it.

    The table goes from dose 0 to the maximum in the mask in 2,000 even steps. In the JSON
    ``d2`` to ``d98`` are the minimum doses of the hottest 2 to 98 % of the volume,
    ``v…_pct`` the volume at or above a dose; ``volume_ml`` is the mask's own. Where part of
    it, ``volume_outside_dose_ml``, is outside the dose map, everything else is of the rest.
    ``supersampling`` is the number of points along each axis of a mask's voxel at which the dose
    is interpolated; null where the mask's voxels are the dose map's, whose own doses count.

    Args:
        dose: NIfTI file of the dose map. What the JSON of the same name beside it tells of its
            unit, else its own name by the contract, must not be another than ``unit``.
        mask: NIfTI file on any grid, whole numbers.
        out: ``.csv`` file to write.
        label: The mask's voxels of this number; all above 0 by default.
        unit: ``gy`` or ``gy_per_gbq``; by default what is told, else ``gy_per_gbq``.
        overwrite: Replace ``out`` and the JSON beside it where they are there.

    Raises:
        BadInput: A file is missing or broken, the dose cannot be or not in this unit, the
            mask has no such label, fewer than 20 voxels or none in the dose map, or ``out``
            cannot be written.
    """
    _refuse_out(out)
    refuse_existing(out, out.with_suffix(".json"), overwrite=overwrite)
    unit = _unit(dose, unit)
    dose_map = _read_dose(dose, unit)
    structure = turned_to_ras(_read_mask(mask, label))  # the points follow the axes
    voxels = int(np.count_nonzero(structure.data))
    supersampling = None
    if not on_dose_grid(dose_map, structure):
        supersampling = choose_supersampling(
            voxels, spacing_mm=structure.spacing_mm, dose_spacing_mm=dose_map.spacing_mm
        )
    histogram = mask_dvh(dose_map, structure, supersampling=supersampling)
    if histogram.outside_ml > 0:
        warn(
            f"{histogram.outside_ml:.6g} mL of the mask lie outside the dose map; "
            f"the histogram is of the other {histogram.volume_ml:.6g} mL."
        )
    told = {
        "unit": unit,
        "label": label,
        "voxels": voxels,
        "volume_ml": histogram.volume_ml + histogram.outside_ml,
        "volume_outside_dose_ml": histogram.outside_ml,
        **metrics(histogram, unit),
        "supersampling": None if supersampling is None else list(supersampling),
        "samples": histogram.doses.size,
        "provenance": provenance(
            package="rpt-eval",
            command="dvh",
            parameters={"label": label, "unit": unit, "steps": STEPS},
            inputs={"dose": file_sha256(dose), "mask": file_sha256(mask)},
            libraries=("nibabel", "numpy", "scipy"),
        ),
    }
    table = histogram_csv(histogram, unit)
    write_together({out: table, out.with_suffix(".json"): json_bytes(told)})


def metrics(histogram: Dvh, unit: str) -> dict[str, Any]:
    """Return Dmean, Dmin, Dmax, Dx, D2ml in ``unit``, and Vx in %, by names with units."""
    levels = np.array(VX_LEVELS[unit])
    volumes_pct = histogram.volume_pct_at(levels)
    found = {
        f"d_mean_{unit}": histogram.mean,
        f"d_min_{unit}": histogram.minimum,
        f"d_max_{unit}": histogram.maximum,
    }
    found |= {f"d{pct}_{unit}": histogram.dose_at_pct(pct) for pct in DX_PCT}
    if histogram.volume_ml >= SMALL_HOT_ML:
        found[f"d_{SMALL_HOT_ML:g}ml_{unit}"] = histogram.dose_at_ml(SMALL_HOT_ML)
    named = zip(levels, volumes_pct, strict=True)
    return found | {f"v{level:g}_{unit}_pct": float(volume_pct) for level, volume_pct in named}


def histogram_csv(histogram: Dvh, unit: str) -> bytes:
    """Return the table of dose and volume, every digit that counts; one row for no dose."""
    steps = STEPS if histogram.maximum > 0 else 0
    levels = np.linspace(0.0, histogram.maximum, steps + 1)
    rows = zip(levels.tolist(), histogram.volume_pct_at(levels).tolist(), strict=True)
    lines = [f"dose_{unit},volume_pct", *(f"{dose!r},{volume!r}" for dose, volume in rows)]
    return ("\n".join(lines) + "\n").encode()


def _refuse_out(out: Path) -> None:
    if out.suffix != ".csv":
        raise BadInput(f"--out must end in .csv, got '{out.name}'.")
    if not out.parent.is_dir():
        raise BadInput("The folder of --out must exist, and it does not. Create it first.")


def _unit(path: Path, unit: str | None) -> str:
    """Return the unit of a dose map: what is told of it, which ``unit`` must not contradict."""
    if not path.is_file():  # which the reading refuses
        return unit or "gy_per_gbq"
    told, teller, mend = _told_unit(path), "the JSON beside it", "correct that JSON"
    if told is None:
        told, teller, mend = UNIT_OF_NAME.get(path.name.lower()), "its name", "rename it"
    if None not in (told, unit) and told != unit:
        raise BadInput(
            f"The dose map (--dose) must be in the unit that --unit names, got {unit}, and "
            f"{teller} tells {told}. Give --unit {told}, or {mend} if it is wrong."
        )
    return unit or told or "gy_per_gbq"


def _told_unit(path: Path) -> str | None:
    """Return the unit that the JSON beside a dose map tells; ``None`` where nothing does."""
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    if not beside.is_file():
        return None
    try:
        content = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            "The JSON beside the dose must be readable, to tell its unit, and it is not. Mend or "
            "remove it."
        ) from error
    units = [UNIT_OF_WORD.get(word) for word in _unit_words(content)]
    if None in units or len(set(units)) > 1:
        raise BadInput(
            "The dose map (--dose) must be an absorbed dose in Gy or Gy/GBq, and the JSON beside "
            "it tells of another quantity or unit, or of two. Give such a map, or correct the JSON."
        )
    return units[0] if units else None


def _unit_words(content: object) -> list[str]:
    """Return each unit that a JSON tells, such as ``gy/gbq``; a quantity that is no dose whole."""
    told: Mapping[str, object] = content if isinstance(content, dict) else {}
    words = [text for key, text in told.items() if key.lower() in ("unit", "units")]
    quantity = told.get("quantity")
    if isinstance(quantity, str) and quantity.lower().startswith(PER_ACTIVITY):
        words.append("Gy/GBq")
    elif isinstance(quantity, str) and quantity.lower() != DOSE:
        words.append(quantity.lower().removeprefix(f"{DOSE}, "))
    plain = (word.lower().replace("_", " ") for word in words if isinstance(word, str))
    return [word.replace(" per ", "/").replace(" ", "") for word in plain]


def _read_dose(path: Path, unit: str) -> Volume:
    volume = read_volume(path, name="The dose map (--dose)")
    refuse_impossible(volume, name="The dose map (--dose)")
    largest, written, other = LARGEST[unit]
    if volume.data.max() > largest:
        raise BadInput(
            f"The dose map (--dose) must be in {written}, got up to {volume.data.max():.6g}, "
            f"which looks like {other}. Convert it, or name its unit by --unit."
        )
    return volume


def _read_mask(path: Path, label: int | None) -> Volume:
    if label is not None and label < 1:
        raise BadInput(f"--label must be above 0, which is background, got {label}.")
    volume = read_volume(path, name="The mask (--mask)")
    numbers = volume.data
    with np.errstate(invalid="ignore"):
        if not np.isfinite(numbers).all() or (numbers < 0).any() or (numbers % 1 != 0).any():
            raise BadInput(
                "The mask (--mask) must hold whole numbers, 0 and above, and holds others. "
                "Give a mask of labels, not of probabilities."
            )
    structure = numbers > 0 if label is None else numbers == label
    voxels = int(np.count_nonzero(structure))
    if voxels == 0:
        raise BadInput(_absent(numbers, label))
    if voxels < SMALLEST_VOXELS:
        raise BadInput(
            f"The structure must have {SMALLEST_VOXELS} voxels or more for a histogram, "
            f"got {voxels}. Draw it on a finer grid."
        )
    return Volume(structure, volume.affine)


def _absent(numbers: np.ndarray, label: int | None) -> str:
    there = [f"{number:g}" for number in np.unique(numbers) if number]
    if not there:
        return "The mask (--mask) must mark a structure by numbers above 0, and is 0 everywhere."
    more = ", …" if len(there) > SHOWN_LABELS else ""
    return (
        f"--label must be a number of the mask, which holds {', '.join(there[:SHOWN_LABELS])}"
        f"{more}: got {label}."
    )
