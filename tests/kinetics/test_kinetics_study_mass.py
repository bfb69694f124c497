"""What the study says of the ligand's mass."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from rpt_kinetics.study_figures import mass_plot
from rpt_kinetics.study_mass import (
    LIGAND_NMOL,
    REFERENCE_CHANGE,
    THERAPY_NMOL,
    kidney_changes,
    mass_in_words,
)


@pytest.fixture(scope="module")
def changes() -> np.ndarray:
    return kidney_changes()


def test_the_kidney_takes_up_less_the_more_ligand_comes(changes: np.ndarray) -> None:
    assert changes[0] == 0
    assert np.all(np.diff(changes) < 0)
    at_therapy = changes[LIGAND_NMOL.index(THERAPY_NMOL)]
    # A whole-body PBPK model has -13 % (kinetics' reference).
    assert REFERENCE_CHANGE == -0.13
    assert at_therapy == pytest.approx(REFERENCE_CHANGE, abs=0.03)


def test_the_table_says_what_it_was_computed_from(changes: np.ndarray) -> None:
    words = json.loads(json.dumps(mass_in_words(changes), allow_nan=False))
    assert [row["ligand_nmol"] for row in words["rows"]] == list(LIGAND_NMOL)
    assert [row["relative_change"] for row in words["rows"]] == changes.tolist()
    assert words["parameters"]["receptor_density_nmol_per_l"] == 30.0
    assert words["reference"]["relative_change"] == -0.13
    assert any("K1, k2 and V_b are ours" in sentence for sentence in words["assumptions"])


def test_the_figure_has_units_and_the_reference(changes: np.ndarray) -> None:
    ax = Figure().subplots()
    assert mass_plot(ax, changes, title="A virtual kidney") is ax
    assert "nmol" in ax.get_xlabel()
    assert "%" in ax.get_ylabel()
    assert ax.lines[0].get_ydata() == pytest.approx(100 * changes)
    assert ax.lines[1].get_ydata() == pytest.approx([-13.0])
