"""What ``simulate`` and ``study`` write, and what they refuse."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import matplotlib.figure
import nibabel as nib
import numpy as np
import pytest
from helpers.commands import Outcome, refused
from nibabel.affines import apply_affine
from rpt_kinetics.__main__ import app
from rpt_kinetics.figures import organ_scatter, subtissue_scatter, times_plot
from rpt_kinetics.measures import SUV_TIMES_MIN
from rpt_kinetics.parameters import preset_names, read_preset
from rpt_kinetics.study import FILES, assumed_inputs, write_simulation, write_study
from typer.testing import CliRunner

FLAT = """
[pet_rates]
k1_ml_per_min_per_ml = 0.3
k2_per_min = 0.3
k3_per_min = 0.2
k4_per_min = 0.01
vb = 0.1
[second_subtissue_factor]
k1 = 0.5
k2 = 1
k3 = 1
k4 = 1
vb = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "out"
    write_simulation("varied", out, seed=7, voxels=1001)
    return out


@pytest.fixture(scope="module")
def table(folder: Path) -> dict[str, np.ndarray]:
    rows = list(csv.DictReader((folder / "voxels.csv").open()))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_summary_says_what_was_simulated(folder: Path, table: dict[str, np.ndarray]) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["preset"] == "varied"
    assert summary["seed"] == 7
    assert summary["n_voxels"] == 1001
    assert summary["n_voxels_per_cluster"] == [501, 500]
    suv, dose = table["suv_g_per_ml"], table["dose_gy"]
    assert summary["pearson_r"] == pytest.approx(np.corrcoef(suv, dose)[0, 1])
    for j, r in enumerate(summary["pearson_r_per_cluster"], start=1):
        here = table["subtissue"] == j
        assert r == pytest.approx(np.corrcoef(suv[here], dose[here])[0, 1])
        low, high = summary["pearson_r_per_cluster_interval_95"][j - 1]
        assert low < r < high
    assert summary["virtual"] is True
    assert "virtual" in summary["note"]
    assert summary["why_not_unique"] == read_preset("varied").why_not_unique
    parts = summary["images"]["one_minus_r_squared"]
    assert parts["kinetics"] + parts["resolution"] + parts["noise"] == pytest.approx(parts["total"])
    assert parts["total"] == pytest.approx(1 - summary["images"]["pearson_r"] ** 2)
    assert "assumptions" in summary["assumed_inputs"]["PET"]
    assert summary["provenance"]["seed"] == 7
    assert set(summary["files"]) | {"summary.json"} == {path.name for path in folder.iterdir()}


def test_table_and_maps_agree(folder: Path, table: dict[str, np.ndarray]) -> None:
    label = nib.load(folder / "subtissue.nii.gz")
    assert label.header.get_xyzt_units()[0] == "mm"
    spacing = label.header.get_zooms()
    assert np.prod(spacing) * 1001 == pytest.approx(107.104 / 1.04 * 1000, rel=1e-5)
    index = apply_affine(
        np.linalg.inv(label.affine), np.stack([table[f"{axis}_mm"] for axis in "xyz"], axis=1)
    )
    at = tuple(np.rint(index).astype(int).T)
    np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
    np.testing.assert_array_equal(label.get_fdata()[at], table["subtissue"])
    assert np.count_nonzero(label.get_fdata()) == 1001
    for name, column in (("suv", "suv_g_per_ml"), ("dose_gy", "dose_gy")):
        volume = nib.load(folder / f"{name}.nii.gz")
        np.testing.assert_array_equal(volume.affine, label.affine)
        np.testing.assert_allclose(volume.get_fdata()[at], table[column], rtol=1e-6)
        assert np.count_nonzero(volume.get_fdata()) == 1001
    for agent in ("pet", "therapy"):
        assert table[f"{agent}_k4_per_min"].min() >= 0
        assert table[f"{agent}_vb"].max() < 1


def test_same_seed_same_files(folder: Path, tmp_path: Path) -> None:
    write_simulation("varied", tmp_path / "again", seed=7, voxels=1001)
    for name in [*FILES, "summary.json"]:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name
    write_simulation("varied", tmp_path / "other", seed=8, voxels=1001)
    assert (tmp_path / "other" / "suv.nii.gz").read_bytes() != (folder / "suv.nii.gz").read_bytes()


def test_own_parameter_file_and_a_correlation_that_is_not_defined(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FLAT)
    write_simulation(str(tmp_path / "mine.toml"), tmp_path / "out", seed=0, voxels=100)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["preset"] == "mine"
    assert summary["pearson_r"] == pytest.approx(1.0)
    assert summary["pearson_r_per_cluster"] == [None, None]
    assert list(summary["provenance"]["inputs"]) == ["mine.toml"]
    assert str(tmp_path) not in (tmp_path / "out" / "summary.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"preset": "nonsense"}, "must be one of homogeneous, heterogeneous, varied"),
        ({"preset": "absent.toml"}, "got 'absent.toml'"),
        ({"voxels": 39}, "voxels must be from 40 to"),
        ({"voxels": 10**9}, "voxels must be from 40 to"),
        ({"seed": -1}, "--seed must be at least 0"),
    ],
)
def test_bad_input_leaves_nothing(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"preset": "varied", "seed": 0, "voxels": 100}
    with pytest.raises(ValueError, match=words):
        write_simulation(out=tmp_path / "out", **(good | arguments))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_broken_parameter_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("voxels = = 3")
    with pytest.raises(ValueError, match=r"mine.toml must be a readable TOML file"):
        write_simulation(str(tmp_path / "mine.toml"), tmp_path / "out", seed=0, voxels=None)


def test_a_folder_that_is_not_new_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="must be new or empty"):
        write_simulation("varied", folder, seed=0, voxels=100)
    with pytest.raises(ValueError, match="must be new or empty"):
        write_study(folder, seeds=1)


def test_study_without_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--seeds must be at least 1, got 0"):
        write_study(tmp_path / "out", seeds=0)
    assert not list(tmp_path.iterdir())


ALL_ALIKE = FLAT.replace("k1 = 0.5", "k1 = 1")


def test_a_correlation_that_is_not_defined_is_said_in_words_and_no_path_is_shown(
    tmp_path: Path, rpt_kinetics: Callable[..., Outcome]
) -> None:
    (tmp_path / "mine.toml").write_text(ALL_ALIKE)
    for out, preset, said in (
        ("flat", tmp_path / "mine.toml", "r not defined (a value does not vary)"),
        ("varied", "varied", "r = 0."),
    ):
        ended = rpt_kinetics(
            "simulate", "--preset", preset, "--voxels", 100, "--out", tmp_path / out
        )
        assert ended.status == 0
        assert f"{out}: a virtual organ, {said}" in ended.err
        assert "nan" not in ended.err
        assert str(tmp_path) not in ended.err


def test_wild_parameters_end_in_one_sentence(
    tmp_path: Path, rpt_kinetics: Callable[..., Outcome]
) -> None:
    (tmp_path / "mine.toml").write_text("suv_time_min = 1e300\n" + FLAT)
    ended = rpt_kinetics("simulate", "--preset", tmp_path / "mine.toml", "--out", tmp_path / "out")
    refused(ended, "suv_time_min must be from 0.01 to 1440 min", absent=tmp_path / "out")


def test_the_studys_words_need_no_figures() -> None:
    blocked = "import sys; sys.modules.update(matplotlib=None); "
    code = blocked + "import rpt_kinetics.words"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_assumed_inputs_say_which_agent_a_curve_stands_for() -> None:
    parameters = read_preset("varied").parameters
    shared = assumed_inputs(parameters)
    assert "taken for both agents" in shared["PET"]["assumptions"][0]
    apart = assumed_inputs(replace(parameters, pet_input="kabasakal"))
    for agent, name in (("PET", "kabasakal"), ("therapy", "siebinga")):
        assert apart[agent]["name"] == name
        assert apart[agent]["assumptions"][0].endswith(f"taken for the {agent} alone")


def test_commands_are_registered_and_show_their_options() -> None:
    for command, option in (("simulate", "--voxels"), ("study", "--seeds")):
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert option in shown.output


def test_presets_are_in_the_package() -> None:
    folder = files("rpt_kinetics") / "presets"
    assert {f"{name}.toml" for name in preset_names()} == {path.name for path in folder.iterdir()}


def test_the_outermost_voxels_are_not_cut_in_half() -> None:
    heat, twin = matplotlib.figure.Figure().subplots(1, 2, sharex=True, sharey=True)
    rng = np.random.default_rng(0)
    suv, dose = rng.uniform(1, 2, 300), rng.uniform(5, 9, 300)
    subtissue = np.repeat(np.array([1, 2], dtype=np.uint8), 150)
    organ_scatter(heat, suv, dose, subtissue, title="varied")
    subtissue_scatter(twin, suv, dose, subtissue, title="varied")
    for ax in (heat, twin):
        for (low, high), values in ((ax.get_xlim(), suv), (ax.get_ylim(), dose)):
            assert low < values.min() - 0.02 * np.ptp(values)
            assert high > values.max() + 0.02 * np.ptp(values)


def test_lines_that_coincide_stay_in_sight() -> None:
    ax = matplotlib.figure.Figure().subplots()
    r = np.linspace(0.5, 0.9, len(SUV_TIMES_MIN))
    times_plot(ax, dict.fromkeys(preset_names(), r), title="")
    widths = [line.get_linewidth() for line in ax.lines]
    assert np.all(np.diff(widths) < -0.5)


@pytest.mark.parametrize("draw", [organ_scatter, subtissue_scatter])
def test_scatter_takes_and_returns_ax_with_units_and_r(draw: "object") -> None:
    ax = matplotlib.figure.Figure().subplots()
    rng = np.random.default_rng(0)
    suv = rng.uniform(1, 2, 300)
    subtissue = np.repeat(np.array([1, 2], dtype=np.uint8), 150)
    assert draw(ax, suv, 2 * suv, subtissue, title="varied") is ax  # type: ignore[operator]
    assert ax.get_xlabel() == "PET (SUV, g/mL)"
    assert ax.get_ylabel() == "Absorbed dose (Gy)"
    for words in ("varied", "n = 300", "1.000", "95 %", "sub-tissues"):
        assert words in ax.get_title()
