"""Which searcher and how many trials a study has when nobody says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from automl_core import Study


def toy(directory: Path, **settings: Any) -> Study:
    return Study(space="counting-ones", workspace=directory, **settings)


@pytest.mark.parametrize(
    ("settings", "searcher"),
    [({}, "asha"), ({"max_budget": 1}, "random"), ({"min_budget": 9, "max_budget": 9}, "random")],
)
def test_the_searcher_follows_from_the_budgets(tmp_path: Path, settings: dict[str, Any], searcher: str) -> None:
    assert toy(tmp_path, **settings).spec.searcher.name == searcher


def test_complete_trainings_alone_make_it_random(tmp_path: Path) -> None:
    study = Study(space="nas-bench-201", evaluator="tabular", workspace=tmp_path)
    assert study.spec.searcher.name == "random"


def test_a_searcher_that_plans_its_trials_is_not_bound_by_a_preset(tmp_path: Path) -> None:
    preset = toy(tmp_path, searcher="asha").spec.trials
    assert preset is not None
    assert toy(tmp_path, searcher="hyperband").spec.trials is None
    assert toy(tmp_path, searcher="hyperband", trials=7).spec.trials == 7
