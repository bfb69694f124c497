"""What tests of every room share: where optional test data are, and one small cohort."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from rpt_phantom.cohort import write_cohort
from rpt_phantom.settings import CohortSettings

ROOT = Path(__file__).parents[1]

# The same examples in every run; `pytest --hypothesis-profile=default` draws others.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def testdata() -> Path:
    """The folder of third-party test data, or a skip that says how to get it."""
    folder = Path(os.environ.get("RPT_TESTDATA", ROOT.parent / "shared" / "testdata"))
    if not folder.is_dir():
        pytest.skip("no third-party test data: set RPT_TESTDATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small virtual cohort, for reading only."""
    folder = tmp_path_factory.mktemp("shared") / "cohort"
    write_cohort(folder, CohortSettings(seed=3, slices=24), patients=4, workers=1)
    return folder
