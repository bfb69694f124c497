"""What tests of every room share: where optional test data are, and one small cohort."""

import os
from pathlib import Path

import pytest
from filelock import FileLock
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
    """A small virtual cohort for reading only: of cycles 2, 1, 1 and 1; all processes share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "shared_cohort"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            write_cohort(folder, CohortSettings(seed=123, slices=24), patients=4, workers=1)
    return folder
