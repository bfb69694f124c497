"""One page a cycle, by which a person judges how its dose came about."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from rpt_dosimetry.dose.activity_series import MBQ_PER_GBQ
from rpt_dosimetry.dose.calculation import CycleDose
from rpt_dosimetry.dose.rows import Row
from rpt_dosimetry.ingest.alignment import Aligned
from rpt_dosimetry.ingest.dosing import CycleImages
from rpt_dosimetry.ingest.page_figures import curves_png, dose_png, finite_or_dash

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
    told: Mapping[str, Any],
) -> bytes:
    """Write the page: registrations, curves, organ table and dose, with their warnings.

    Args:
        name: The cycle's folder, ``P001/C1``.
        aligned: Role → scan on the grid.
        images: The images.
        result: The dose.
        told: What ``summary.json`` tells.

    Returns:
        HTML that needs no other file and no network.
    """
    title = f"{escape(name)}, {escape(told['origin'])} patient"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>Net administered activity {told['net_administered_mbq']:.5g} MBq of "
        f"{escape(told['nuclide'])}; engine {escape(told['engine'])}. For research only.</p>",
        "<h2>To know</h2>",
        _listed(told["warnings"]),
        "<h2>Registration to the first SPECT/CT</h2>",
        _table(_SHIFTS, [_shift(role, story) for role, story in told["registrations"].items()]),
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
                images.ct_hu,
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
