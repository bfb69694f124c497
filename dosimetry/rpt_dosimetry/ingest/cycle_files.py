"""The files of one cohort cycle: volumes, ``cycle.json``, and the page that a person judges."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32
from pydantic import ValidationError
from rpt_cohort import BadInput, CycleInfo, Volume, json_bytes, nifti_bytes, provenance
from rpt_cohort.figures import Plane, draw_plane, fullest_plane, png_bytes
from rpt_cohort.seal import OUTPUTS, output_sha256, sealed_bytes

from rpt_dosimetry.dose.activity_series import MBQ_PER_GBQ, CycleImages, Therapy
from rpt_dosimetry.dose.calculation import CycleDose
from rpt_dosimetry.dose.cumulative import REPORT, SUMMARY, TABLE
from rpt_dosimetry.dose.rows import Row, table_csv
from rpt_dosimetry.ingest.alignment import Aligned
from rpt_dosimetry.ingest.scans import Plan, Scans
from rpt_dosimetry.registration.pair import SEED

MOST_CURVES = 8
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#000000", "#F0E442"),
)
"""Okabe and Ito's, told apart by the colour-blind."""
HU_LOW, HU_HIGH = -160.0, 240.0
LEAST_SHARE = 0.05
"""Ours: of the scale's top; fainter dose leaves the CT free."""
TOP_PERCENTILE = 99.9
"""Ours: of the body's voxels; a few hotter ones are shown as this hot."""


def curves_png(rows: Sequence[Row]) -> bytes:
    """Draw the points and curves of organs and lesions, those of most activity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    ax = figure.subplots()
    drawn = (row for row in rows if row.region.kind in ("organ", "lesion"))
    active = (row for row in drawn if row.fit.tia_mbq_h > 0)
    shown = sorted(active, key=lambda row: -row.fit.tia_mbq_h)[:MOST_CURVES]
    for row, colour in zip(shown, COLOURS, strict=False):
        times_h, activities_mbq = np.array(row.fit.points).T
        dense_h = np.linspace(times_h[0] / 4.0, 1.5 * times_h[-1], 200)
        label = f"{row.region.name}, {row.fit.model}"
        ax.plot(dense_h, row.fit.activity_mbq(dense_h), color=colour, label=label)
        ax.plot(times_h, activities_mbq, "o", color=colour)
    ax.set_xlabel("Time after start of infusion (h)")
    ax.set_ylabel("Activity (MBq)")
    ax.set_ylim(bottom=0.0)
    if shown:
        ax.legend()
    return png_bytes(figure, dots_per_inch=80)


def dose_png(
    ct_hu: Float[np.ndarray, "x y z"],
    dose_gy: Float[np.ndarray, "x y z"],
    *,
    body: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> bytes:
    """Draw the dose over the CT in the planes of most dose, coronal, sagittal and axial."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 4.5), layout="constrained")
    axes = figure.subplots(1, 3)
    top = max(float(np.percentile(dose_gy[body], TOP_PERCENTILE)), 1e-30)
    under = Volume(ct_hu, affine)
    over = Volume(np.where(dose_gy < LEAST_SHARE * top, np.nan, dose_gy), affine)
    planes: tuple[Plane, ...] = ("coronal", "sagittal", "axial")
    image: Any = None
    for ax, plane in zip(axes, planes, strict=True):
        at = fullest_plane(Volume(np.maximum(dose_gy, 0.0), affine), plane)
        draw_plane(ax, under, plane, at=at, cmap="gray", vmin=HU_LOW, vmax=HU_HIGH)
        image = draw_plane(ax, over, plane, at=at, cmap="inferno", vmin=0.0, vmax=top, alpha=0.7)
        ax.set_title(plane)
    figure.colorbar(image, ax=list(axes), label="Absorbed dose (Gy)")
    return png_bytes(figure, dots_per_inch=80)


def finite_or_dash(value: float | None, digits: int = 4) -> str:
    """Write a number for people; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}g}"


_STYLE = (
    "body{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}th,td{padding:.2em .6em;border-bottom:1px solid #ccc;"
    "text-align:right}th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)
_ORGANS = (
    *("region", "volume (mL)", "mass (g)", "mean dose (Gy)", "per activity (Gy/GBq)", "D2 (Gy)"),
    *("D98 (Gy)", "effective half-life (h)", "curve", "uncertainty, 1 SD (%)"),
)
_SHIFTS = ("scan", "by", "centre moved (mm)", "turned (°)", "agreement before", "after")


def cycle_page(
    name: str,
    aligned: Mapping[str, Aligned],
    images: CycleImages,
    result: CycleDose,
    summary: Mapping[str, Any],
) -> bytes:
    """Write the page: registrations, curves, organ table and dose, with their warnings.

    Returns:
        HTML that needs no other file and no network.
    """
    title = f"{escape(name)}, {escape(summary['origin'])} patient"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>Net administered activity {summary['net_administered_mbq']:.5g} MBq of "
        f"{escape(summary['nuclide'])}; engine {escape(summary['engine'])}. For research only.</p>",
        "<h2>To know</h2>",
        _listed(summary["warnings"]),
        "<h2>Registration to the first SPECT/CT</h2>",
        _table(_SHIFTS, [_shift(role, story) for role, story in summary["registrations"].items()]),
        *(
            f"<h3>{escape(role)}</h3>{_image(one.picture, f'registration of {role}')}"
            for role, one in aligned.items()
            if one.picture is not None
        ),
        "<h2>Time–activity curves</h2>",
        _image(curves_png(result.rows), "time-activity curves"),
        "<h2>Regions</h2>",
        _table(_ORGANS, [_organ(row) for row in result.rows]),
        "<h2>Absorbed dose</h2>",
        _image(
            dose_png(
                np.asarray(images.ct_hu),
                np.where(images.known, result.dose_gy, 0.0),
                body=images.organs > 0,
                affine=images.affine,
            ),
            "dose over CT",
        ),
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">{head}\n{body}\n</html>\n'.encode()


def _organ(row: Row) -> list[str]:
    sd = None if row.sd.total is None else 100.0 * row.sd.total
    per_gbq = row.dose.mean_gy * MBQ_PER_GBQ / row.net_mbq
    numbers = (
        *(row.volume_ml, row.mass_g, row.dose.mean_gy, per_gbq),
        *(row.dose.d2_gy, row.dose.d98_gy, row.fit.effective_half_life_h),
    )
    return [row.region.name, *map(finite_or_dash, numbers), row.fit.model, finite_or_dash(sd, 2)]


def _shift(role: str, story: Mapping[str, Any]) -> list[str]:
    residual = story["residual"]
    agreement = (
        f"{residual[when]['normalised_mutual_information']:.3f}" for when in ("before", "after")
    )
    moved = f"{residual['centre_mm']:.1f}", f"{residual['rotation_deg']:.1f}"
    return [role, story["registered_by"], *moved, *agreement]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _listed(sentences: Sequence[str]) -> str:
    if not sentences:
        return "<p>Nothing was found to doubt.</p>"
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in sentences)}</ul>"


def _image(content: bytes, what: str) -> str:
    return f'<img alt="{escape(what)}" src="data:image/png;base64,{b64encode(content).decode()}">'


LIBRARIES = (
    *("rpt-cohort", "pydicom", "numpy", "scipy", "nibabel", "SimpleITK", "matplotlib"),
    *("icrp107-database", "xraydb", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"),
)
FINGERPRINT = "fingerprint"
"""Of the provenance's parameters: by which a finished cycle is known."""


def write_volumes(
    folder: Path,
    images: CycleImages,
    pet_suv: Float32[np.ndarray, "x y z"],
    result: CycleDose,
    therapy: Therapy,
) -> None:
    """Write the contract's volumes; outside the field of view dose and activity are set to 0."""
    volumes: dict[str, tuple[np.ndarray | None, type[np.generic]]] = {
        "pet.nii.gz": (pet_suv, np.float32),
        "ct.nii.gz": (images.ct_hu, np.int16),
        "organs.nii.gz": (images.organs, np.uint8),
        "lesions.nii.gz": (images.lesions, np.uint16),
        "fov.nii.gz": (images.known.astype(np.uint8), np.uint8),
    }
    for name, values in result.maps(therapy).items():
        volumes[name] = np.where(images.known, values, 0.0), np.float32
    for name, (data, dtype) in volumes.items():
        if data is not None:
            (folder / name).write_bytes(nifti_bytes(data, images.affine, dtype=dtype))


def write_cycle_json(folder: Path, plan: Plan, scans: Scans, therapy: Therapy) -> None:
    """Write ``cycle.json``, the last file of a cycle: it holds the hashes of the others.

    Raises:
        BadInput: A value is out of the contract's bounds.
    """
    cycle, pet = plan.cycle, scans.pet
    content: dict[str, Any] = {
        "patient": cycle.patient,
        "cycle": cycle.cycle,
        "tracer": pet.tracer,
        "therapy": cycle.therapy,
        "pet_activity_mbq": pet.activity_mbq,
        "administered_activity_mbq": therapy.net_mbq,
        "weight_kg": pet.weight_kg,
        "height_cm": pet.height_cm if cycle.height_cm is None else cycle.height_cm,
        "age_y": cycle.age_y,
        "laboratory": cycle.laboratory,
        "pet_time_min": pet.time_min,
        "spect_times_h": list(therapy.time_h),
        "how": _how(plan, scans),
        "provenance": _provenance(plan) | {OUTPUTS: output_sha256(folder)},
    }
    try:
        sealed = sealed_bytes(CycleInfo.model_validate(content))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise BadInput(
            f"cycle.json: {place}: {fault['msg']}, got {fault['input']!r}. Correct the study or "
            "the header that it comes from."
        ) from error
    (folder / "cycle.json").write_bytes(sealed)


def write_report(
    folder: Path,
    plan: Plan,
    aligned: Mapping[str, Aligned],
    images: CycleImages,
    result: CycleDose,
    summary: dict[str, Any],
) -> None:
    """Write how the dose came about: table, curves, registrations, and a page of it all."""
    report = folder / REPORT
    report.mkdir()
    (report / TABLE).write_bytes(table_csv(result.rows))
    stories = {role: one.story for role, one in aligned.items() if one.story is not None}
    content = summary | {
        "origin": plan.study.origin,
        "registrations": stories,
        "provenance": _provenance(plan),
    }
    (report / SUMMARY).write_bytes(json_bytes(content))
    (report / "index.html").write_bytes(
        cycle_page(plan.cycle.name, aligned, images, result, content)
    )


def _provenance(plan: Plan) -> dict[str, Any]:
    return provenance(
        package="rpt-dosimetry",
        command="ingest",
        parameters=plan.parameters | {FINGERPRINT: plan.fingerprint},
        inputs=plan.inputs,
        seed=SEED,
        libraries=LIBRARIES,
    )


def _how(plan: Plan, scans: Scans) -> dict[str, str]:
    """Tell per file what made it."""
    spects = "; ".join(spect.branch for spect in scans.spects)
    carried = "registered rigidly to the first SPECT/CT and resampled once"
    how = {
        "pet.nii.gz": f"SUV by {scans.pet.branch}, {carried}",
        "ct.nii.gz": "CT of the first SPECT/CT, mean HU of each voxel",
        "organs.nii.gz": _organs(plan) + "; remaining body from the CT, above -300 HU",
        "fov.nii.gz": "circle of every SPECT and the first one's CT",
        "dose.nii.gz": f"{plan.study.engine}, {plan.study.voxel_curve} curves; SPECT: {spects}",
        "dose_gy.nii.gz": "as dose.nii.gz, times the administered activity",
        "tia.nii.gz": "what dose.nii.gz was computed from",
    }
    if plan.cycle.lesions is not None:
        how["lesions.nii.gz"] = f"drawn on {plan.cycle.lesions.drawn_on}, nearest neighbour"
    return how


def _organs(plan: Plan) -> str:
    source = plan.cycle.organs
    if source is None:
        return "no organs"
    by = "drawn" if source.totalsegmentator is None else "by TotalSegmentator"
    return f"{by} on {source.drawn_on}, nearest neighbour"
