"""A refinement in words: sizes as published, where samples come from, what was fixed, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from automl_core.interfaces import SearchSpace
from automl_core.restricting import Restriction
from automl_core.spec import Part
from automl_core.testing.doubles import ToySpace
from automl_refine.areas import AreaTable, Row
from automl_refine.categories import categories
from automl_refine.refining import Refinement
from automl_refine.rounds import Step
from automl_refine.text import MANY_ROWS, is_long, size_text
from automl_refine.text import step_text as coloured_step
from automl_refine.text import text as coloured_text
from automl_spaces.ktg import KTGSpace

WIDE = "wrn-28-2"
A = KTGSpace(models=("resnet32", WIDE), gates=("through", "cutoff", "linear"))
B = A.restrict(Restriction.fix(model_2=WIDE, model_3=WIDE))
C = B.restrict(Restriction.fix(gate_label_2="through", gate_label_3="through"))
X = C.restrict(Restriction.fix(gate_2_1="linear", gate_3_1="linear"))


def text(found: Refinement) -> str:
    return click.unstyle(coloured_text(found))


def step_text(*arguments: Any, **options: Any) -> str:
    return click.unstyle(coloured_step(*arguments, **options))


def table(space: SearchSpace, areas: Mapping[str, float] | None = None, trials: int = 40, **changed: Any) -> AreaTable:
    """A table in which all categories have one area, but for those that are named."""
    rows = tuple(
        (
            condition,
            tuple(
                Row(one, trials, trials - 1, area := (areas or {}).get(one.label, 60.0), (area - 1, area + 1))
                for one in categories(space, condition)
            ),
        )
        for condition in space.conditions()
    )
    return replace(AreaTable(rows, (0.0, 100.0), 100, {}, None, 61.5, 0.95), **changed)


def step(space: SearchSpace, fixed: str = "", **changed: Any) -> Step:
    areas = changed.pop("table", None) or table(space, {fixed: 70.74})
    chosen = next((row.category for _, row in areas.rows() if row.category.label == fixed), None)
    made = Step(
        space,
        members=cast(Any, [SimpleNamespace(trial=number) for number in range(100)]),
        table=areas,
        chosen=chosen,
        reason="it has the largest area" if fixed else "",
        migrated=0,
        extra=0,
        exhaustive=False,
    )
    return replace(made, **changed)


def refinement(
    steps: Sequence[Step], objective: str = "accuracy:max", best: float = 0.7312, **changed: Any
) -> Refinement:
    """What a study would tell, without one."""
    found = SimpleNamespace(trial=7, value=best)
    source = SimpleNamespace(
        name="graphs",
        spec=SimpleNamespace(
            objectives=(objective,),
            searcher=SimpleNamespace(options=changed.pop("options", {})),
            **{"evaluator": Part("ktg"), "dataset": None, "preset": "quick", "max_budget": 8} | changed.pop("spec", {}),
        ),
        record=SimpleNamespace(best=lambda: found),
        assembly=SimpleNamespace(evaluator=SimpleNamespace(trains=True, metrics={"accuracy": "max"}), space=A),
        workspace=SimpleNamespace(path=changed.pop("workspace", Path("automl-workspace"))),
    )
    given: dict[str, Any] = {
        "waiting": None,
        "space": steps[-1].space if steps else A,
        "status": "done",
        "reason": "all of the last space has been taken",
        "exhausted": True,
        "best": 7,
        **changed,
    }
    return Refinement("graphs", tuple(steps), source=cast(Any, source), **given)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (A, "78,732 configurations, 39,609 up to symmetries (half of all are 39,366)"),
        (B, "19,683 configurations, 9,963 up to symmetries (half of all are 9,841.5)"),
        (C, "2,187 configurations, 1,134 up to symmetries (half of all are 1,093.5)"),
        (X, "243 configurations, 135 up to symmetries (half of all are 121.5)"),
    ],
)
def test_sizes_are_told_as_they_are_and_as_they_are_published(space: SearchSpace, words: str) -> None:
    assert size_text(space) == words


def test_sizes_without_symmetries_and_with_several_name_no_half() -> None:
    assert size_text(ToySpace()) == "4,194,304 configurations"
    assert "half" not in size_text(KTGSpace(nodes=4))
    assert "up to symmetries" in size_text(KTGSpace(nodes=4))


def test_all_steps_stand_in_order_with_what_was_fixed() -> None:
    shown = text(
        refinement(
            [
                step(A, f"{WIDE} & {WIDE}"),
                step(B, "through & through", migrated=30),
                step(X, exhaustive=True, migrated=100),
            ]
        )
    )
    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line[0] for line in lines if line[1:3] == ": "] == ["A", "B", "X"]
    (row,) = [line for line in lines if line.endswith("fixed") and WIDE in line]
    assert row.split() == [WIDE, "&", WIDE, "40", "70.74", "69.74", "to", "71.74", "fixed"]
    assert f"auxiliary node = {WIDE} & {WIDE} is fixed: it has the largest area" in shown
    assert "edge from label to auxiliary = through & through is fixed" in " ".join(shown.split())
    assert "sampled: 100, of which 70 new, 30 trained in a wider space" in shown
    assert "all taken: 100, of which 0 new, 100 trained in a wider space" in shown
    assert f"restricted to model_2 = {WIDE}; model_3 = {WIDE}" in shown
    assert "Best: trial 7, accuracy 73.12 %, in X." in shown


def test_what_is_left_out_and_added_is_counted() -> None:
    areas = table(A, left_out={"failed": 2, "below the floor": 1200}, floor=0.358, trials=100)
    shown = " ".join(step_text(refinement([]), "A", step(A, table=areas, extra=25)).split())
    assert "25 were added to tell intervals apart" in shown
    assert "left out 2 failed, 1,200 below the floor; the floor is a value of 0.358" in shown
    assert "errors from 0 to 100 % of 100 trials" in shown
    assert "area of all 61.50" in shown


def test_choices_with_few_trials_or_none_are_marked() -> None:
    areas = table(A, trials=29)
    empty = replace(areas.conditions[0][1][0], trials=0, distinct=0, area=None, interval=None)
    condition, rows = areas.conditions[0]
    areas = replace(areas, conditions=((condition, (empty, *rows[1:])),))
    lines = step_text(refinement([]), "A", step(A, table=areas)).splitlines()
    assert [line.split()[3:] for line in lines if line.endswith("too few")] == [
        ["0", "-", "-", "too", "few"],
        *[["29", "60.00", "59.00", "to", "61.00", "too", "few"]] * 2,
    ]
    known = refinement([], options={"min_group": 29})
    assert step_text(known, "A", step(A, table=areas)).count("too few") == 1


def test_numbers_of_what_is_better_when_smaller_are_no_percentages() -> None:
    areas = table(A, span=(0.0, 0.25), overall=0.125)
    shown = text(refinement([step(A, table=areas)], "loss:min", best=0.0625))
    assert "errors from 0 to 0.25 of 100 trials; area of all 0.125" in shown
    assert "Best: trial 7, loss 0.0625, in" in shown
    assert "%" not in shown.replace("95% interval", "")


def test_rows_are_numbered_in_the_order_of_the_table_for_a_person() -> None:
    one = step(A)
    lines = step_text(refinement([]), "A", one, numbered=True).splitlines()
    assert all(len(line) <= 80 for line in lines)
    numbers = [line.split()[-6] for line in lines if line.endswith("59.00 to 61.00")]
    assert numbers == [str(number) for number in range(1, 19)]  # 18 rows, as published


def test_very_many_choices_are_shown_by_the_best_of_them_and_the_fixed_one() -> None:
    space = ToySpace()
    areas = table(space)
    last, rows = areas.conditions[-1]
    best = replace(rows[-1], area=71.0)
    areas = replace(areas, conditions=(*areas.conditions[:-1], (last, (*rows[:-1], best))))
    fixed = replace(step(space, table=areas), chosen=best.category)
    assert is_long(areas)
    shown = step_text(refinement([]), "A", fixed)
    assert len(shown.splitlines()) < MANY_ROWS
    assert f"{last.label}, 2 of 16" in shown
    assert shown.count("  fixed") == 1
    everything = step_text(refinement([]), "A", fixed, everything=True)
    assert len(everything.splitlines()) > sum(1 for _ in areas.rows())
    assert "--all" not in everything


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        ({"status": "sampling", "reason": "", "exhausted": False}, "automl refine --resume graphs"),
        (
            {"status": "sampling", "reason": "", "exhausted": False, "options": {"choose": "ask"}},
            "automl refine --resume graphs --interactive",
        ),
        (
            {"status": "waiting", "reason": "a person is to choose", "exhausted": False, "waiting": step(B)},
            "automl refine --resume graphs --interactive",
        ),
        (
            {"status": "stopped", "reason": "intervals overlap", "exhausted": False},
            "automl run --space graphs-refinement/B.yaml --max-budget 8",
        ),
        (
            {
                "status": "stopped",
                "reason": "intervals overlap",
                "exhausted": False,
                "spec": {
                    "evaluator": Part("other"),
                    "dataset": Part("npz", {"path": "my images.npz", "resize": 8, "mean": "0.5"}),
                    "preset": "paper",
                },
            },
            "automl run --space graphs-refinement/B.yaml --evaluator other --preset paper --dataset npz "
            "--set 'dataset.path=my images.npz' --set dataset.resize=8 --set 'dataset.mean=\"0.5\"' --max-budget 8",
        ),
        ({}, "automl retrain graphs"),
        ({"workspace": Path("else where")}, "automl best graphs --workspace 'else where'"),
    ],
)
def test_the_commands_to_go_on_with_fit_how_it_ended(changed: dict[str, Any], command: str) -> None:
    steps = [step(A, f"{WIDE} & {WIDE}")]
    shown = text(refinement(steps, **{"space": B, **changed}))
    assert f"  {command}" in shown.splitlines()
    assert ("--resume" in shown) == (changed.get("status") in ("sampling", "waiting"))
    if changed.get("reason"):
        assert f": {changed['reason']}." in shown


def test_a_refinement_without_a_sample_says_so() -> None:
    found = refinement([], status="sampling", reason="", exhausted=False, best=0.0)
    found = replace(found, best=None, source=replace_best(found.source, None))
    shown = text(found)
    assert shown.startswith("A: 78,732 configurations")
    assert "No trial has a value yet." in shown
    assert "automl best" not in shown


def replace_best(source: Any, best: Any) -> Any:
    return SimpleNamespace(**{**vars(source), "record": SimpleNamespace(best=lambda: best)})
