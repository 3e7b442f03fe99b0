"""``automl areas`` over recorded studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from toys import toy_registry

from automl_cli.application import application
from automl_core import Study
from automl_core.hookspecs import Register, hookimpl
from automl_core.plugins import use_registry
from automl_core.testing.doubles import ToyEvaluator, ToySpace
from automl_core.types import Configuration
from automl_refine.areas import members_of
from automl_refine.edf import area


class ReferredSpace(ToySpace):
    """A toy with a plain configuration to hold others against: all digits as small as can be."""

    def reference(self) -> Configuration:
        return {name: int(name == "digit_3") for name in self.config_space}


class Plugin:
    @hookimpl
    def automl_search_spaces(self, register: Register) -> None:
        register("referred", f"{__name__}:ReferredSpace", summary="a toy with a reference")

    @hookimpl
    def automl_searchers(self, register: Register) -> None:
        register("grid", "automl_searchers.complete:GridSearch", summary="everything")

    @hookimpl
    def automl_commands(self, register: Register) -> None:
        register("areas", "automl_refine.commands.areas:command", summary="areas")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with use_registry(toy_registry(Plugin())):
        yield


def run(workspace: Path, name: str = "toys", space: str = "toy", searcher: str = "grid", **changed: Any) -> Study:
    options = {"space": {"digits": 3, "choices": 3, **changed.pop("space_options", {})}}
    settings = {"min_budget": 4, "max_budget": 4, "evaluator": "toy", **changed}
    return Study(space, searcher, name=name, workspace=workspace, options=options, **settings).run()


def ask(workspace: Path, *words: object) -> Result:
    arguments = ["areas", *map(str, words), "--workspace", str(workspace)]
    return CliRunner().invoke(application, arguments, prog_name="automl")


def printed(workspace: Path, *words: object) -> list[str]:
    result = ask(workspace, *words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    return [" ".join(line.split()) for line in lines]


def document(workspace: Path, *words: object) -> dict[str, Any]:
    result = ask(workspace, *words, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def refused(workspace: Path, *words: object) -> str:
    result = ask(workspace, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(result.stderr.split())


def test_areas_are_mean_accuracies_and_the_best_is_marked(tmp_path: Path) -> None:
    study = run(tmp_path, trials=17)
    rows = study.record.trials()
    lines = printed(tmp_path, "toys", "--condition", "digit_3", "--min-group", 3)
    assert lines[:2] == ["digit_3", "category trials area, % 95% interval"]
    means = []
    for digit, line in enumerate(lines[2:5]):
        values = [row.value for row in rows if row.configuration["digit_3"] == digit and row.value is not None]
        means.append(100 * sum(values) / len(values))
        assert line.startswith(f"{digit} {len(values)} {means[-1]:.2f} ")
    assert means == sorted(means)
    assert [line.endswith(" best") for line in lines[2:5]] == [False, False, True]
    note = " ".join(lines[6:])
    assert "area: under the distribution of errors from 0 to 100 %, which is the mean accuracy in percent." in note
    assert "17 trials count; left out: none (no floor, since no complete trial is the space's reference)." in note
    assert "Intervals: 95%, from 1,000 bootstrap samples. best: '2' of 'digit_3' has the largest area" in note
    assert "too few" not in note and "chose" not in note and note.endswith("Nothing was trained.")


def test_too_few_trials_are_marked_and_told(tmp_path: Path) -> None:
    run(tmp_path, trials=4)
    lines = printed(tmp_path, "toys", "--condition", "digit_3")
    assert all(line.endswith("too few") for line in lines[2:5])
    note = " ".join(lines)
    assert "No best one: no condition has two categories of at least 30 trials; the second largest category" in note
    assert "too few: below 30 trials, see --min-group." in note


def test_json_is_strict_and_says_what_was_left_out(tmp_path: Path) -> None:
    run(tmp_path, evaluator=ToyEvaluator(fail=(1, 2), diverge=(3,)), constraint="loss<=0.8")
    found = document(tmp_path, "toys", "--min-group", 2, "--floor", 0.3)
    assert found["left_out"].keys() == {"failed", "diverged", "infeasible", "below the floor"}
    assert (found["left_out"]["failed"], found["left_out"]["diverged"], found["floor"]) == (2, 1, 0.3)
    assert (found["studies"], found["objective"], found["span"]) == (["toys"], "accuracy:max", [0.0, 100.0])
    assert found["best"]["condition"] in [one["condition"] for one in found["conditions"]]
    note = " ".join(printed(tmp_path, "toys", "--floor", 0.3))
    assert f"left out: 2 failed, 1 diverged, {found['left_out']['infeasible']} infeasible, " in note
    assert "below the floor (floor 30 %, as given)." in note


def test_half_of_the_reference_is_the_floor(tmp_path: Path) -> None:
    run(tmp_path, space="referred")
    found = document(tmp_path, "toys")
    assert 0.0 < found["floor"] < 0.2
    assert "half of what the space's reference came to" in " ".join(printed(tmp_path, "toys"))


def test_metrics_to_be_small_are_errors_themselves(tmp_path: Path) -> None:
    study = run(tmp_path, objective="loss")
    losses = [row.value for row in study.record.trials() if row.value is not None]
    found = document(tmp_path, "toys")
    assert found["span"] == [0.0, max(losses)]
    assert found["overall"] == pytest.approx(area(losses, 0.0, max(losses)))
    lines = printed(tmp_path, "toys", "--condition", "digit_3", "--range", 0.2, 0.8)
    assert lines[1] == "category trials area 95% interval"
    assert "from 0.2 to 0.8." in " ".join(lines) and "since the metric is to be small" in " ".join(lines)


def test_studies_over_one_space_are_taken_together(tmp_path: Path) -> None:
    run(tmp_path, "first", seed=1)
    run(tmp_path, "second", seed=2)
    run(tmp_path, "part", seed=3, space_options={"restrict": {"fixed": {"digit_3": 2}}})
    one, both, all_three = (
        document(tmp_path, *names, "--condition", "digit_3")
        for names in (["first"], ["first", "second", "first"], ["first", "second", "part"])
    )
    assert both["studies"] == ["first", "second"] and both["trials"] == 2 * one["trials"]
    rows = [found["conditions"][0]["categories"] for found in (one, both, all_three)]
    assert [row["distinct"] for row in rows[1]] == [row["distinct"] for row in rows[0]], "the same are one training"
    assert [row["trials"] for row in rows[2][:2]] == [row["trials"] for row in rows[1][:2]]
    assert rows[2][2]["trials"] == rows[1][2]["trials"] + rows[0][2]["trials"]
    assert "unknown condition" in refused(tmp_path, "part", "--condition", "digit_9")
    alone = document(tmp_path, "part")["conditions"]
    assert "digit_3" not in [one["condition"] for one in alone], "a design space has its own conditions"


def test_a_searcher_that_chooses_is_told(tmp_path: Path) -> None:
    run(tmp_path, searcher="asha", trials=12, min_budget=1)
    assert "Searcher asha chose what to complete, so this is no uniform sample." in " ".join(printed(tmp_path, "toys"))


def test_very_many_categories_are_shown_by_the_best(tmp_path: Path) -> None:
    run(tmp_path, searcher="random", trials=60, space_options={"digits": 8, "choices": 4})
    few = printed(tmp_path, "toys", "--min-group", 10)
    everything = printed(tmp_path, "toys", "--min-group", 10, "--all")
    assert "digit_3, the best 3 of 4" in few and "digit_3" in everything
    assert any("--all lists every category and " in line for line in few)
    assert len(few) < 130 < len(everything)
    assert any(line.startswith("digit_1 & digit_2") for line in everything)
    assert not any(line.startswith("digit_7 & digit_8") for line in few)


def test_labels_that_are_too_long_go_over_several_lines(tmp_path: Path) -> None:
    fixed = {f"digit_{number}": 1 for number in range(1, 22)}
    run(tmp_path, trials=4, space_options={"digits": 23, "restrict": {"fixed": fixed}})
    group = "+".join([*fixed, "digit_22"])
    lines = printed(tmp_path, "toys", "--condition", group, "--min-group", 1)
    start = next(place for place, line in enumerate(lines) if line.startswith("category"))
    assert " ".join(lines[:start]) == group.replace("+", " & ")
    assert " ".join(lines[start + 1 : start + 3]).startswith(" & ".join(["1"] * 11))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toys", "--range", 5, 5], "from a finite number to a larger one, but got 5 to 5; choose another range"),
        (["toys", "--floor", 30], "a floor must be a fraction from 0 to 1, but got 30; pass 0.1 for 10 %"),
        (["toys", "--min-group", 0], "min_group is 0; pass --min-group 1 or more"),
        (["toys", "--condition", "digit"], "unknown condition of space 'toy' 'digit'; did you mean 'digit_"),
        (["toy"], "unknown study 'toy'; did you mean 'toys'?"),
        (["toys", "other"], "must have the same options of the space, but 'toys' has"),
        (["toys", "losses"], "must have the same objective, but 'toys' has accuracy:max and 'losses' has loss"),
        (["toys", "longer"], "must have the same maximum budget, but 'toys' has 4 and 'longer' has 5"),
        (
            ["dead"],
            "areas must have a complete trial with a value, but dead has none (3 came to nothing); go on with it",
        ),
        (["object"], "the space of study 'object' must be known by name, but was given as an object, toy"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, words: list[object], message: str) -> None:
    run(tmp_path, trials=2)
    run(tmp_path, "other", trials=1, space_options={"choices": 4})
    run(tmp_path, "losses", trials=1, objective="loss")
    run(tmp_path, "longer", trials=1, max_budget=5)
    if words == ["dead"]:
        with pytest.raises(Exception, match="failed"):
            run(tmp_path, "dead", trials=3, evaluator=ToyEvaluator(fail=(0, 1, 2)))
    Study(ToySpace(3, 3), "grid", evaluator="toy", name="object", workspace=tmp_path, trials=1, max_budget=1).run()
    assert message in refused(tmp_path, *words)


def test_members_of_a_registered_space_need_no_object(tmp_path: Path) -> None:
    study = run(tmp_path, trials=3)
    assert len(members_of(study.record)) == 3
