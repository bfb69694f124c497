"""A known factor is recovered from simulated planar and SPECT counts."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.planar_patient import (
    CPS_PER_MBQ,
    DETECTOR_ROWS,
    FIELD,
    GIVEN_MBQ,
    HALF_LIFE_H,
    PLANAR_H,
    RETAINED,
    SPECT_H,
    SPECT_S,
    TAU_S,
    VOXEL_MM,
    Scans,
    simulate,
    spect_object,
)

ALL_TOLD = {"administered_sd_pct": 1, "excretion_sd": 0.05}


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Scans:
    return simulate(tmp_path_factory.mktemp("whole"))


def words(scans: Scans, out, *more) -> list[object]:
    return [
        *("calibrate", scans.spect, out, "--planar", scans.planar, "--ct", scans.ct),
        *("--administered-mbq", GIVEN_MBQ, "--time-h", SPECT_H, "--duration-s", SPECT_S),
        *more,
    ]


def lost(scans: Scans) -> dict[str, object]:
    return {"dead_time": {"tau_us": TAU_S * 1e6}, "head_cps": float(scans.spect_cps)}


def dead(scans: Scans) -> dict[str, object]:
    return lost(scans) | {"detector_mm": DETECTOR_ROWS * VOXEL_MM}


def biological_h() -> float:
    """Half-life by which 0.7 is left from the planar scan to the SPECT."""
    return (SPECT_H - PLANAR_H) * np.log(2) / -np.log(RETAINED)


def test_known_factor(scans, command, in_file, tmp_path) -> None:
    out = tmp_path / "CALIBRATION.json"
    told = ["--planar-time-h", PLANAR_H, "--biological-h", biological_h()]
    done = command(*words(scans, out, *told, *in_file(**dead(scans), **ALL_TOLD)))
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert found["counts_at_edges_of_views"] == {}
    assert found["why_no_total"] is None
    assert found["fraction_in_field"] == pytest.approx(scans.in_field, rel=0.02)
    assert found["cps_per_mbq"] == pytest.approx(CPS_PER_MBQ, rel=0.02)
    assert found["planar_first_pixel_mm"] == pytest.approx([-240.0, -812.3], abs=VOXEL_MM)
    assert found["planar_least_live_fraction"] < 0.95
    assert found["relative_sd_pct"]["administered_activity"] == 1
    assert found["relative_sd_pct"]["field_fraction_attenuation_beyond_ct"] == 0
    parts = found["relative_sd_pct"].values()
    assert found["total_relative_sd_pct"] == pytest.approx(sum(p**2 for p in parts) ** 0.5)


@pytest.mark.parametrize(
    ("left_out", "part"),
    [
        (["administered_sd_pct"], "administered_activity"),
        (["excretion_sd"], "excretion"),
        (["dead_time", "head_cps", "detector_mm"], "dead_time_of_spect"),
    ],
)
def test_no_total_without_what_is_unknown(
    scans, command, in_file, tmp_path, left_out, part
) -> None:
    """It was ±0.1 % while excretion and what lies outside the views were unknown."""
    out = tmp_path / "C.json"
    choices = dead(scans) | ALL_TOLD
    for key in left_out:
        del choices[key]
    done = command(*words(scans, out, "--excreted", 1 - RETAINED, *in_file(**choices)))
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert found["total_relative_sd_pct"] is None
    assert found["relative_sd_pct"][part] is None
    assert [name for name, sd in found["relative_sd_pct"].items() if sd is None] == [part]
    assert part in found["why_no_total"]
    assert found["limits"]
    assert found["why_no_total"] in done.err
    assert "46 % too low" in done.err
    assert "uncertainty not known" in done.err
    # Nothing made by it has a total either.
    activity = tmp_path / "A.nii.gz"
    done = command(
        "activity", scans.spect, activity, "--factor", out, "--duration-s", SPECT_S, "--time-h", 24
    )
    assert done.status == 0, done.err
    assert found["why_no_total"] in done.err
    assert json.loads(activity.with_name("A.json").read_text())["total_relative_sd_pct"] is None


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("rows", "edge"), [(slice(0, 220), "lower"), (slice(40, None), "upper")], ids=["legs", "head"]
)
def test_views_that_end_within_the_patient(
    scans, command, in_file, tmp_path, rows, edge, padded
) -> None:
    """From head to thighs, or without the head; cut, or blank where nothing was scanned."""
    views = pydicom.dcmread(scans.planar)
    counts = views.pixel_array  # the first row is the head's
    if padded:
        seen = np.zeros_like(counts)
        seen[:, rows] = counts[:, rows]
    else:
        seen = counts[:, rows]
    views.Rows, views.PixelData = seen.shape[1], seen.tobytes()
    views.save_as(tmp_path / "planar.dcm")
    cut = replace(scans, planar=tmp_path / "planar.dcm")
    out = tmp_path / "C.json"

    def calibrated(**more) -> tuple[dict, str]:
        told = ["--excreted", 1 - RETAINED, *in_file(**dead(scans), **ALL_TOLD, **more)]
        done = command(*words(cut, out, *told, "--overwrite"))
        assert done.status == 0, done.err
        return json.loads(out.read_text()), done.err

    found, told = calibrated()
    (name,) = found["counts_at_edges_of_views"]
    assert name.startswith(edge)
    assert f"hold counts at an edge, of a mean line: {edge}" in told
    assert found["cps_per_mbq"] < CPS_PER_MBQ
    assert found["total_relative_sd_pct"] is None
    assert found["relative_sd_pct"]["activity_outside_the_views"] is None
    bounded, told = calibrated(outside_views_at_most=0.4)
    assert bounded["cps_per_mbq"] == pytest.approx(found["cps_per_mbq"] / 0.8)
    outside = bounded["relative_sd_pct"]["activity_outside_the_views"]
    assert outside == pytest.approx(100 * 0.2 / 3**0.5 / 0.8)
    assert bounded["total_relative_sd_pct"] > outside
    assert "hold counts at an edge" in told


def test_each_correction_counts(scans, command, in_file, tmp_path) -> None:
    """Without scatter, dead-time or excretion correction the factor is off, and by how much."""
    out = tmp_path / "C.json"

    def factor(*more) -> float:
        assert command(*words(scans, out, *more, "--overwrite")).status == 0
        return json.loads(out.read_text())["cps_per_mbq"] / CPS_PER_MBQ

    kept = ["--excreted", 1 - RETAINED]
    corrected = in_file(**dead(scans))
    assert factor(*corrected, *kept) == pytest.approx(1.0, rel=0.02)
    assert factor(*kept) == pytest.approx(np.exp(-0.0778), rel=0.03)
    assert factor(*corrected, "--excreted", 0) == pytest.approx(RETAINED, rel=0.02)


def test_excretion_within_bounds(scans, command, in_file, tmp_path) -> None:
    out = tmp_path / "C.json"
    more = in_file(**dead(scans), administered_sd_pct=1, excreted_at_most=0.5)
    done = command(*words(scans, out, *more))
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert found["retained_fraction"] == 0.75
    off_pct = 100 * abs(found["cps_per_mbq"] / CPS_PER_MBQ - 1)
    assert off_pct < 2 * found["total_relative_sd_pct"]
    assert found["relative_sd_pct"]["excretion"] == pytest.approx(100 * 0.25 / 3**0.5 / 0.75)


def test_ct_of_the_field_alone(command, in_file, tmp_path) -> None:
    """What the CT does not show is bounded, and the truth lies within the told uncertainty."""
    scans = simulate(tmp_path, ct_rows=FIELD)
    out = tmp_path / "C.json"
    more = in_file(**dead(scans), **ALL_TOLD)
    done = command(*words(scans, out, *more, "--excreted", 1 - RETAINED))
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert found["cps_per_mbq"] == pytest.approx(9.02, rel=5e-3)
    assert found["counts_beyond_ct_fraction"] > 0.1
    assert found["relative_sd_pct"]["field_fraction_attenuation_beyond_ct"] > 1
    off_pct = 100 * abs(found["cps_per_mbq"] / CPS_PER_MBQ - 1)
    assert off_pct < 2 * found["total_relative_sd_pct"]


def test_there_and_back(scans, command, in_file, tmp_path) -> None:
    """The activity by the recovered factor is what was put in; Bq/mL of a NIfTI of counts."""
    factor, out = tmp_path / "C.json", tmp_path / "ACTIVITY.nii.gz"
    command(*words(scans, factor, *in_file(**dead(scans)), "--excreted", 1 - RETAINED))
    done = command(
        *("activity", scans.spect, out, "--factor", factor, "--duration-s", SPECT_S),
        *("--time-h", SPECT_H, *in_file(**lost(scans))),
    )
    assert done.status == 0, done.err
    told = json.loads(out.with_name("ACTIVITY.json").read_text())
    left_mbq = GIVEN_MBQ * RETAINED * 2 ** (-SPECT_H / HALF_LIFE_H) * scans.in_field
    assert told["activity_in_field_of_view_mbq"] == pytest.approx(left_mbq, rel=0.02)
    image = nib.load(out)
    total_mbq = np.asarray(image.dataobj).sum(dtype=float) * (VOXEL_MM / 10) ** 3 / 1e6
    assert total_mbq == pytest.approx(told["activity_in_field_of_view_mbq"], rel=1e-5)
    assert told["injection_to_mid_scan_h"] == SPECT_H


def test_nm_throughout(scans, command, in_file, tmp_path) -> None:
    """The same from NM objects alone: slices from the head down, all times from the headers."""
    spect = spect_object(scans).write(tmp_path / "study" / "spect.dcm")
    planar = pydicom.dcmread(scans.planar)
    planar.AcquisitionTime = "095000"
    planar.save_as(spect.parent / "planar.dcm")
    out = tmp_path / "C.json"
    done = command(
        *("calibrate", spect.parent, out, "--planar", spect.parent, "--ct", scans.ct),
        *("--administered-mbq", GIVEN_MBQ, "--biological-h", biological_h()),
        *in_file(**dead(scans)),
    )
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert found["cps_per_mbq"] == pytest.approx(CPS_PER_MBQ, rel=0.02)
    assert found["retained_fraction"] == pytest.approx(RETAINED, rel=1e-6)
    assert found["spect_duration_s"] == SPECT_S
    assert "Quarantine" not in out.read_text()
