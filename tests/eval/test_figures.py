"""The side-by-side picture: orientation, units, and refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import Run, refused
from helpers.pictures import brightest_place, letters, patient_axes
from matplotlib.figure import Figure
from rpt_eval.figures import draw_case, side_by_side
from rpt_eval.predictions import CycleMaps


@pytest.fixture
def prediction(predict: Callable[..., Path]) -> Path:
    """A prediction folder that lacks a case: every dose times 1.1."""
    return predict("prediction", lambda dose: np.float32(1.1) * dose, lacking="P002/C1")


@pytest.mark.parametrize(
    "turn",
    [np.diag([1, 1, 1]), np.diag([-1, -1, 1]), np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]])],
)
def test_the_patient_s_right_is_on_the_left_whatever_the_file_s_axes(
    maps: CycleMaps, turn: np.ndarray
) -> None:
    dose = maps.dose.copy()
    dose[13:15, 8, 15] = 9.0  # right, towards the head
    ras = replace(maps, dose=dose, suv=dose, known=maps.known | True)
    axes_of = nib.io_orientation(
        np.linalg.inv(np.block([[turn, np.zeros((3, 1))], [np.eye(4)[3]]]))
    )
    affine = ras.affine @ nib.orientations.inv_ornt_aff(axes_of, dose.shape)
    arrays = ("suv", "dose", "organs", "lesions", "known")
    stored = replace(
        ras,
        affine=affine,
        **{name: nib.apply_orientation(getattr(ras, name), axes_of) for name in arrays},
    )
    figure = draw_case(stored, {"Predicted": stored.dose}, origin="virtual")
    assert "virtual" in figure.get_suptitle()
    panels = patient_axes(figure)
    assert [letters(ax) for ax in panels] == ["RL"] * 4
    for ax in panels[:3]:
        from_left, from_top = brightest_place(ax)
        assert from_left < 0.2
        assert from_top < 0.3
        assert ax.images[0].get_extent() == [0.0, 16 * 4.0, 20 * 5.0, 0.0]


def test_panels_have_units_and_one_dose_scale(maps: CycleMaps) -> None:
    axes = list(Figure().subplots(1, 4))
    side_by_side(axes, maps, {"Predicted": maps.dose}, reference_name="Truth")
    labels = [ax.images[0].colorbar.ax.get_ylabel() for ax in axes]
    assert labels[0] == "SUV (g/mL)"
    assert labels[1] == labels[2] == "Absorbed dose (Gy/GBq)"
    assert "Gy/GBq" in labels[3]
    assert axes[1].images[0].get_clim() == axes[2].images[0].get_clim()
    assert axes[0].images[0].get_extent() == [0.0, 16 * 4.0, 20 * 5.0, 0.0]
    difference = np.ma.masked_invalid(axes[3].images[0].get_array())
    assert difference[:-2].max() == 0
    # The two lowest slices are outside the field of view: blank.
    assert np.isnan(np.asarray(axes[1].images[0].get_array(), dtype=float)[-2:]).all()


def test_command_writes_a_png(
    rpt_eval: Run, cohort: Path, prediction: Path, tmp_path: Path
) -> None:
    out = tmp_path / "picture.png"
    done = rpt_eval("picture", "--cohort", cohort, "--pred", prediction, "--out", out)
    assert done.status == 0, done.err
    assert out.read_bytes().startswith(b"\x89PNG")
    out.write_text("mine")
    again = rpt_eval("picture", "--cohort", cohort, "--pred", prediction, "--out", out)
    refused(again, "picture.png' must be new, and it is there")
    assert out.read_text() == "mine"
    again = rpt_eval(
        "picture", "--cohort", cohort, "--pred", prediction, "--out", out, "--overwrite"
    )
    assert again.status == 0, again.err
    assert out.read_bytes().startswith(b"\x89PNG")


def test_unknown_or_unpredicted_case_is_refused(
    rpt_eval: Run, cohort: Path, prediction: Path, tmp_path: Path
) -> None:
    out = tmp_path / "picture.png"
    for case, words in {"P999/C1": "--case must be", "P002/C1": "Predict it first"}.items():
        done = rpt_eval(
            "picture", "--cohort", cohort, "--pred", prediction, "--out", out, "--case", case
        )
        refused(done, words, absent=out)
