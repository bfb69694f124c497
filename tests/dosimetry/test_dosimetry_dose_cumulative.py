"""Dose over cycles, the activity to a limit, and the command."""

import csv
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.dose.cumulative import RegionDose, activity_to_limit

PARTS = ("calibration_sd_pct", "fit_sd_pct", "volume_sd_pct")
COLUMNS = ("name", "dose_mean_gy", "bed_gy", "relative_sd_pct", *PARTS, "relative_95_pct")


def write_cycle(
    folder: Path, rows, *, net_mbq=7400.0, nuclide="Lu-177", image="a", parts=(5, "", "")
) -> Path:
    folder.mkdir()
    summary = {
        "nuclide": nuclide,
        "engine": "local",
        "net_administered_mbq": net_mbq,
        "provenance": {"inputs": {"activity_1": image}},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    with (folder / "organs.csv").open("w", newline="") as stream:
        # Half of the 95 % interval is 3 SD here: one point was left over to the fit, say.
        lines = ((*row, *parts, row[3] and 3 * row[3]) for row in rows)
        csv.writer(stream).writerows([COLUMNS, *lines])
    return folder


@pytest.fixture
def two(tmp_path) -> list[Path]:
    first = [("kidney", 5.0, 5.5, 13.0), ("whole_image", 0.1, "", 5.0), ("lesion_1", 30, 40, "")]
    second = [("kidney", 4.0, 4.3, 10.0), ("whole_image", 0.1, "", 5.0)]
    return [
        write_cycle(tmp_path / "c1", first),
        write_cycle(tmp_path / "c2", second, net_mbq=6600.0, image="b"),
    ]


def test_activity_to_limit_by_hand() -> None:
    # 5 Gy of 7.4 GBq and 4 of 6.6: 14 Gy left, 0.60606 Gy/GBq: 23.1 GBq. u = 1.05/9.
    rows = [RegionDose(5.0, None, 0.13, 0.39), RegionDose(4.0, None, 0.1, 0.3)]
    found = activity_to_limit(rows, name="kidney", net_mbq=[7400.0, 6600.0], limit_gy=23.0)
    assert found.activity_to_limit_mbq == pytest.approx(23100.0)
    rates = (5 / 7.4, 4 / 6.6)
    spread = abs(rates[0] - rates[1]) / math.sqrt(2) / (sum(rates) / 2)
    assert found.between_cycles_relative_sd == pytest.approx(spread)
    half_mbq = math.hypot(23 * 3 * 1.05 / 9, 1.96 * 14 * spread) / rates[1] * 1000
    assert found.interval_95_mbq == pytest.approx((max(0, 23100 - half_mbq), 23100 + half_mbq))


@given(dose=st.floats(0.1, 20), limit=st.floats(1, 50), u=st.floats(1e-4, 0.01))
def test_interval_is_the_first_order_of_the_exact(dose, limit, u) -> None:
    # A(ε) = (L − D(1+ε)) / (r(1+ε)) for one error ε of past and next dose.
    row = [RegionDose(dose, None, u, 2 * u)]
    found = activity_to_limit(row, name="kidney", net_mbq=[1000.0], limit_gy=limit)
    exact = [1000 * (limit - dose * (1 + e)) / (dose * (1 + e)) for e in (2 * u, -2 * u)]
    assert found.interval_95_mbq is not None
    size = 1000 * limit / dose
    for got, expected in zip(found.interval_95_mbq, exact, strict=True):
        assert got == pytest.approx(max(expected, 0.0), abs=6 * u**2 * size + 1e-6)


def test_a_limit_that_is_reached() -> None:
    found = activity_to_limit(
        [RegionDose(25, None, 0.1, 0.2)], name="kidney", net_mbq=[7400.0], limit_gy=23.0
    )
    assert found.activity_to_limit_mbq == 0
    assert found.between_cycles_relative_sd is None


def test_unknown_uncertainty_and_no_dose() -> None:
    found = activity_to_limit(
        [RegionDose(5, None, None, None)], name="kidney", net_mbq=[7400.0], limit_gy=23.0
    )
    assert found.interval_95_mbq is None
    with pytest.raises(BadInput, match="dose above 0 Gy in the last cycle, and kidney has"):
        activity_to_limit(
            [RegionDose(0, None, 0.1, 0.2)], name="kidney", net_mbq=[7400.0], limit_gy=23.0
        )


def test_command(two, command, tmp_path) -> None:
    out = tmp_path / "all.json"
    done = command("cumulate", *two, "--limit", "kidney=23", "--out", out)
    assert done.status == 0, done.err
    told = json.loads(out.read_text())
    kidney = told["regions"]["kidney"]
    assert kidney["dose_gy"] == 9
    assert kidney["bed_gy"] == pytest.approx(9.8)
    assert kidney["relative_sd"] == pytest.approx(1.05 / 9)
    assert kidney["dose_gy_per_gbq"] == pytest.approx(9 / 14)
    assert told["regions"]["whole_image"]["bed_gy"] is None
    assert told["not_in_every_cycle"] == ["lesion_1"]
    assert "lesion_1" in done.err
    assert "kidney: 9 of 23 Gy; the limit is 2.31e+04 MBq away" in done.err
    assert ", of calibration alone; fit, volume unknown)" in done.err
    assert told["limits"]["kidney"]["unknown_parts"] == ["fit", "volume"]
    assert kidney["unknown_parts"] == ["fit", "volume"]
    assert "same lesion in all cycles" in told["definitions"]["regions"]
    assert set(told["provenance"]["inputs"]) == {
        f"cycle_{i}/{name}" for i in (1, 2) for name in ("summary.json", "organs.csv")
    }
    assert str(tmp_path) not in out.read_text()


@pytest.mark.parametrize(
    ("second", "unknown", "said"),
    [
        ((5, 3, 4), [], " MBq away ("),
        ((5, 3, ""), ["volume"], ", of calibration and fit alone; volume unknown)"),
    ],
)
def test_a_part_counts_as_known_if_it_is_in_every_cycle(
    second, unknown, said, command, tmp_path
) -> None:
    row = [("kidney", 5.0, 5.5, 7.0)]
    first = write_cycle(tmp_path / "c1", row, parts=(5, 3, 4))
    other = write_cycle(tmp_path / "c2", row, image="b", parts=second)
    out = tmp_path / "all.json"
    done = command("cumulate", first, other, "--limit", "kidney=23", "--out", out)
    assert done.status == 0, done.err
    assert json.loads(out.read_text())["limits"]["kidney"]["unknown_parts"] == unknown
    assert said in done.err
    assert ("unknown" in done.err) == bool(unknown)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--limit", "spleen=10"], "of every cycle's table, one of kidney, .* got 'spleen'"),
        (["--limit", "lesion_1=10"], "got 'lesion_1'"),
        (["--limit", "kidney=-2"], "--limit must be a region's name"),
        (["--limit", "kidney=23", "--limit", "kidney=28"], "once, got 'kidney' twice"),
    ],
)
def test_bad_limits(words, told, two, command, tmp_path) -> None:
    refused(command("cumulate", *two, *words, "--out", tmp_path / "all.json"), told, tmp_path)


def test_cycles_that_do_not_belong_together(two, command, tmp_path) -> None:
    out = tmp_path / "all.json"
    refused(command("cumulate", two[0], two[0], "--out", out), "Each cycle must be named", tmp_path)
    other = write_cycle(tmp_path / "c3", [("kidney", 5, 6, 1)], nuclide="Y-90", image="c")
    refused(command("cumulate", *two, other, "--out", out), "one nuclide, got Lu-177, Y", tmp_path)
    lone = write_cycle(tmp_path / "c4", [("liver", 5, 6, 1)], image="d")
    refused(command("cumulate", *two, lone, "--out", out), "a region in common", tmp_path)


def test_broken_folders(two, command, tmp_path) -> None:
    out = tmp_path / "all.json"
    (tmp_path / "bare").mkdir()
    refused(
        command("cumulate", tmp_path / "bare", "--out", out), "folder that `dose` wrote", tmp_path
    )
    (two[0] / "summary.json").write_text("{}")
    refused(command("cumulate", *two, "--out", out), "Compute the dose anew", tmp_path)
    (two[0] / "summary.json").write_text("[" * 100_000)
    refused(command("cumulate", *two, "--out", out), "Compute the dose anew", tmp_path)
    (two[1] / "organs.csv").write_text("name,dose_mean_gy\nkidney,nan\n")
    refused(command("cumulate", two[1], "--out", out), "Compute the dose anew", tmp_path)


@pytest.mark.parametrize(
    ("name", "told"), [("all.csv", "end in .json"), ("no/all.json", "must exist and be writable")]
)
def test_bad_out(name, told, two, command, tmp_path) -> None:
    refused(command("cumulate", *two, "--out", tmp_path / name), told, tmp_path)


def test_out_inside_a_cycle(two, command, tmp_path) -> None:
    for out in (two[0] / "summary.json", two[1] / ".." / "c2" / "all.json"):
        before = (two[0] / "summary.json").read_bytes()
        refused(command("cumulate", *two, "--out", out), "not be inside a DOSE_DIR", tmp_path)
        assert (two[0] / "summary.json").read_bytes() == before
    assert not (two[1] / "all.json").exists()


def refused(done, told: str, folder: Path) -> None:
    assert done.status == 2
    assert re.search(told, done.err), done.err
    assert not (folder / "all.json").exists()


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (("P001", 1), ("P002", 2), "must be of one patient, .* tell P001, P002"),
        (("P001", 2), ("P001", 1), "in their order, the last one last, .* got 2, 1"),
    ],
)
def test_what_cycle_json_tells_is_believed(two, command, tmp_path, first, second, told) -> None:
    for folder, (patient, cycle) in zip(two, (first, second), strict=True):
        (folder / "cycle.json").write_text(json.dumps({"patient": patient, "cycle": cycle}))
    done = command("cumulate", *two, "--out", tmp_path / "all.json")
    assert done.status == 2
    assert re.search(told, " ".join(done.err.split()))
    for folder, cycle in zip(two, (1, 2), strict=True):
        (folder / "cycle.json").write_text(json.dumps({"patient": "P001", "cycle": cycle}))
    assert command("cumulate", *two, "--out", tmp_path / "all.json").status == 0
