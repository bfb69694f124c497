import numpy as np
import pytest
from rpt_phantom.person import draw_person, draw_record
from rpt_phantom.populations import TISSUES, TissueUptake, draw_uptake

PATIENTS = 3_000


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, TissueUptake]]:
    return [
        draw_uptake(np.random.default_rng([0, n]), np.random.default_rng([1, n]))
        for n in range(PATIENTS)
    ]


@pytest.mark.parametrize("name", TISSUES)
def test_means_over_patients_are_the_table(drawn, name) -> None:
    # 3 % is 5 standard errors at a log SD of 0.3 and 3,000 patients.
    row = TISSUES[name]
    assert np.mean([d[name].suv_g_per_ml for d in drawn]) == pytest.approx(
        row.suv_g_per_ml, rel=0.03
    )
    assert np.mean([d[name].dose_gy_per_gbq for d in drawn]) == pytest.approx(
        row.dose_gy_per_gbq, rel=0.03
    )


@pytest.mark.parametrize("name", TISSUES)
def test_suv_and_dose_correlate_only_in_part(drawn, name) -> None:
    suv = np.log([d[name].suv_g_per_ml for d in drawn])
    dose = np.log([d[name].dose_gy_per_gbq for d in drawn])
    assert np.corrcoef(suv, dose)[0, 1] == pytest.approx(TISSUES[name].correlation, abs=0.05)


def test_most_kidneys_lie_in_the_published_range(drawn) -> None:
    """PSMA-11 SUVmean of kidneys at 60 min: approx. 25–50."""
    suv = np.array([d["kidney"].suv_g_per_ml for d in drawn])
    assert np.mean((suv > 25) & (suv < 50)) > 0.75


def test_cycles_differ_less_than_patients() -> None:
    log_dose = np.array(
        [
            [
                np.log(
                    draw_uptake(np.random.default_rng(n), np.random.default_rng([n, cycle]))[
                        "kidney"
                    ].dose_gy_per_gbq
                )
                for cycle in range(3)
            ]
            for n in range(200)
        ]
    )
    assert log_dose.std(axis=1).mean() < 0.5 * log_dose.mean(axis=1).std()


def test_people_are_those_of_the_paper() -> None:
    people = [draw_person(np.random.default_rng(n)) for n in range(1_000)]
    # 4 standard errors of 1,000 draws.
    assert np.mean([p.age_y for p in people]) == pytest.approx(69, abs=0.9)
    assert np.mean([p.weight_kg for p in people]) == pytest.approx(78.7, abs=1.3)
    assert np.mean([p.cycles for p in people]) == pytest.approx(48 / 23, abs=0.15)
    assert {p.cycles for p in people} == {1, 2, 3}


def test_records_are_plausible() -> None:
    person = draw_person(np.random.default_rng(0))
    records = [draw_record(np.random.default_rng(n), person, cycle=1) for n in range(1_000)]
    assert np.mean([r.pet_activity_mbq for r in records]) == pytest.approx(118.4, abs=3.2)
    assert np.mean([r.administered_activity_mbq for r in records]) == pytest.approx(7300, abs=40)
    for record in records:
        first, second, third = record.spect_times_h
        assert 0.5 <= first <= 2.5
        assert 20 <= second <= 28
        assert 144 <= third <= 192
