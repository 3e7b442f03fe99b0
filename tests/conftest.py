"""What every test shares: one thread a process, no settings of the caller's, properties checked the same each time."""

from __future__ import annotations

import os

# Before torch is imported anywhere: tests run side by side, and threads that fight for cores cost more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("automl", deadline=None, derandomize=True)
settings.load_profile("automl")


@pytest.fixture(autouse=True)
def _no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AUTOML_")]:
        monkeypatch.delenv(name)
