"""Several objectives, constraints and the disk budget, from Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace
from toys import toy_registry

from automl_core import RequestError, Study, StudyFailed
from automl_core.engine.keeping import DiskBudgetError, Dropped
from automl_core.engine.progress import Progress
from automl_core.engine.state import StudyState
from automl_core.functions import FunctionEvaluator
from automl_core.interfaces import Context, Description, Evaluation, Evaluator, Segment
from automl_core.plugins import use_registry
from automl_core.ranking import dominates
from automl_core.testing.doubles import ToyDescription, ToyEstimator, ToyEvaluation, ToyEvaluator
from automl_core.types import Configuration, Direction, Estimate, Job, Observation


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with use_registry(toy_registry()):
        yield


def two_sided(configuration: Mapping[str, Any], budget: int, seed: int) -> dict[str, float]:
    """The larger x, the better and the dearer; y only costs."""
    x, y = configuration["x"], configuration["y"]
    return {"quality": x - y * y, "price": x + y}


def study(directory: Path, **settings: Any) -> Study:
    space = ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    given = {
        "space": space,
        "evaluator": two_sided,
        "objective": ["quality:max", "price:min"],
        "trials": 40,
        "workspace": directory,
        "name": "study",
    }
    return Study(**given | settings)


def test_the_front_is_what_nothing_dominates(tmp_path: Path) -> None:
    found = study(tmp_path).run()
    rows = found.record.trials()
    losses = {row.number: (-row.metrics["quality"], row.metrics["price"]) for row in rows}
    expected = {one for one in losses if not any(dominates(losses[other], losses[one]) for other in losses)}
    assert {one.trial for one in found.front} == expected
    assert 1 < len(expected) < 40
    qualities = [one.objectives["quality"] for one in found.front]
    assert qualities == sorted(qualities, reverse=True)
    assert found.best == found.front[0]
    state = StudyState(found.assembly.searcher(), found.assembly.problem)
    state.replay(found.record.journal.events())
    assert state.front == expected
    assert state.incumbent == found.best.trial


def test_only_those_that_got_furthest_are_on_the_front(tmp_path: Path) -> None:
    found = study(tmp_path, searcher="asha", max_budget=8).run()
    assert {one.budget for one in found.front} == {8}
    assert len(found.front) >= 1


@pytest.mark.parametrize("seed", range(12))
def test_the_fold_and_the_tables_tell_the_same_front(tmp_path: Path, seed: int) -> None:
    """Trials reach the rungs in any order, the incumbent first or last; some end on the way."""

    def moody(configuration: Mapping[str, Any], budget: int, seed: int) -> dict[str, float]:
        if (configuration["x"] * 997 + budget) % 7 < 0.5:
            raise RuntimeError("a bad mood")
        mood = (configuration["x"] * 31 + configuration["y"] * 17 + budget * 13) % 1
        return {"quality": configuration["x"] + mood, "price": configuration["y"] + mood * mood}

    class Every(Progress):
        def job_finished(self, job: Job, outcome: Any, label: str) -> None:
            front = {one.trial for one in found.front}
            state = StudyState(found.assembly.searcher(), found.assembly.problem)
            state.replay(found.record.journal.events())
            assert state.front == front
            assert state.incumbent == (found.front[0].trial if front else None)

    kind = ("stop", "promote")[seed % 2]
    options = {"searcher": {"kind": kind}}
    found = study(tmp_path, evaluator=moody, searcher="asha", max_budget=8, seed=seed, trials=12, options=options)
    found.run(progress=Every())


def test_one_objective_has_a_front_of_one(tmp_path: Path) -> None:
    found = study(tmp_path, objective="quality:max").run()
    assert found.front == [found.best]
    assert found.best.objectives == {"quality": found.best.value}


def test_a_metric_is_one_objective_at_most(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'quality' is named twice"):
        study(tmp_path, objective=["quality:max", "quality:min"])


class SizedEvaluator(ToyEvaluator):
    """A toy whose size is known beforehand and whose latency is known once it runs."""

    metrics: Mapping[str, Direction] = {"accuracy": "max", "loss": "min", "size": "min", "latency": "min"}
    fixed_metrics = frozenset({"size", "latency"})

    def foresee(self, description: Description) -> Mapping[str, float]:
        assert isinstance(description, ToyDescription)
        return {"size": float(sum(description.digits))}

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        return SizedEvaluation(self, description, context.seed)


class SizedEvaluation(ToyEvaluation):
    def advance(self, job: Job) -> Iterator[Observation]:
        digits = self._description.digits
        for one in super().advance(job):
            more = {"size": float(sum(digits)), "latency": float(digits[-1])}
            yield Observation(one.unit, {**one.metrics, **more})


def toy(directory: Path, **settings: Any) -> Study:
    given = {
        "space": "toy",
        "evaluator": SizedEvaluator(),
        "searcher": "asha",
        "trials": 24,
        "max_budget": 4,
        "workspace": directory,
        "name": "study",
    }
    return Study(**given | settings)


def test_what_is_known_beforehand_is_never_trained(tmp_path: Path) -> None:
    found = toy(tmp_path, constraint="size<=14").run()
    rows = [row for row in found.record.trials() if row.role == "candidate"]
    assert len(rows) == 24
    assert all(row.metrics["size"] <= 14 for row in rows)
    assert not found.record.failures()


def test_what_shows_only_in_training_ends_the_trial_at_its_first_outcome(tmp_path: Path) -> None:
    found = toy(tmp_path, constraint=["size<=20", "latency<=1"]).run()
    rows = [row for row in found.record.trials() if row.role == "candidate"]
    refused = [row for row in rows if row.status == "infeasible"]
    assert refused
    assert all(row.configuration["digit_11"] > 1 and row.budget == 1 for row in refused)
    assert all("latency<=1 must hold, but latency is" in row.error for row in refused)
    assert all(row.metrics["latency"] > 1 for row in refused), "its last metrics are those that were refused"
    assert all(row.configuration["digit_11"] <= 1 for row in rows if row.status != "infeasible")
    assert found.best.metrics["latency"] <= 1
    StudyState(found.assembly.searcher(), found.assembly.problem).replay(found.record.journal.events())


def test_what_training_changes_is_judged_at_the_maximum_budget(tmp_path: Path) -> None:
    found = toy(tmp_path, constraint="accuracy>=0.45").run()
    rows = [row for row in found.record.trials() if row.role == "candidate"]
    assert all(row.budget == 4 for row in rows if row.status == "infeasible")
    assert any(row.metrics.get("accuracy", 1.0) < 0.45 for row in rows if row.budget < 4)
    assert found.best.value >= 0.45


def test_a_constraint_on_what_a_function_never_reports_fails_the_trials(tmp_path: Path) -> None:
    with pytest.raises(StudyFailed, match="constraint must name a metric that is reported, but 'prize' is not among"):
        study(tmp_path, constraint="prize<=1").run()


def test_a_study_remembers_its_constraints(tmp_path: Path) -> None:
    toy(tmp_path, constraint="size<=14").run()
    more = Study.resume("study", workspace=tmp_path, trials=40, evaluator=SizedEvaluator())
    assert all(row.metrics["size"] <= 14 for row in more.record.trials() if row.role == "candidate")


def test_a_constraint_that_nothing_keeps_fails_the_study(tmp_path: Path) -> None:
    # known only in training: the toys' latencies are whole numbers from 0
    with pytest.raises(StudyFailed, match=r"all 24 broke a constraint; .* latency<=-1 must hold"):
        toy(tmp_path / "later", constraint="latency<=-1").run()
    space = ConfigurationSpace({"x": [1, 2, 3], "y": [1, 2, 3]})

    class Knowing(FunctionEvaluator):
        def foresee(self, description: Any) -> dict[str, float]:
            return {"price": 5.0}

    with pytest.raises(StudyFailed, match="the space's rules and the constraints allow none"):
        study(tmp_path / "before", space=space, evaluator=Knowing(two_sided), constraint="price<=3").run()


def test_a_constraint_that_next_to_nothing_keeps_ends_a_huge_search_soon(tmp_path: Path) -> None:
    """4 ** 11 configurations, every one of them with digits of at least 1 in all."""
    with pytest.raises(StudyFailed, match="refuse 20,000 in a row, the last since size<=0 must hold, but size is"):
        toy(tmp_path, constraint="size<=0").run()


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        ("wit<=3", "unknown metric in a constraint 'wit'; .*accuracy, latency, loss, size"),
        ("latensy<=3", "did you mean 'latency'.* reports accuracy, latency, loss, size"),
        ("size<3", "a constraint must be METRIC<=NUMBER"),
        ("size<=much", "a constraint must be METRIC<=NUMBER"),
        ("size<=nan", "a constraint must be METRIC<=NUMBER"),
    ],
)
def test_wrong_constraints_are_refused(tmp_path: Path, constraint: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        toy(tmp_path, constraint=constraint)
    assert not (tmp_path / "journal.sqlite").exists()


# -- the disk budget ---------------------------------------------------------------------------------------------------

SIZE = 20_000


class HeavyEvaluator(ToyEvaluator):
    """A toy whose checkpoints take room."""

    def start(self, description: Description, context: Context) -> Evaluation:
        assert isinstance(description, ToyDescription)
        return HeavyEvaluation(self, description, context.seed)


class HeavyEvaluation(ToyEvaluation):
    def save(self, directory: Path) -> None:
        super().save(directory)
        (directory / "weights.bin").write_bytes(bytes(SIZE))


class Watching(Progress):
    """Measures what lies on the disk after every job."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.most = 0
        self.lost: list[Dropped] = []

    def job_finished(self, job: Job, outcome: Any, label: str) -> None:
        files = (self.directory / "checkpoints").rglob("*.bin")
        self.most = max(self.most, sum(file.stat().st_size for file in files))

    def dropped(self, checkpoints: Any) -> None:
        self.lost.extend(checkpoints)


def heavy(directory: Path, progress: Progress, **settings: Any) -> Study:
    given = {"evaluator": HeavyEvaluator(), "options": {"searcher": {"kind": "promote"}}, "trials": 30, "max_budget": 8}
    return toy(directory, **given | settings).run(progress=progress)


def test_the_budget_is_kept_and_the_search_comes_to_the_same(tmp_path: Path) -> None:
    free, tight = Watching(tmp_path / "free"), Watching(tmp_path / "tight")
    one = heavy(tmp_path / "free", free)
    other = heavy(tmp_path / "tight", tight, disk_budget="130kB")
    assert free.most > 8 * SIZE
    assert tight.most <= 130_000
    assert tight.lost
    assert all(SIZE < one.size < SIZE + 2000 for one in tight.lost)
    assert {one.reason for one in tight.lost} == {"of the paused trials it had cost and promised the least"}
    without = ["cost"]
    assert one.trials.drop(columns=without).equals(other.trials.drop(columns=without))


def test_what_ended_goes_first(tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    heavy(tmp_path, watching, checkpoint="all", disk_budget=130_000, options={})
    assert watching.most <= 130_000
    assert any("--checkpoint all" in one.reason for one in watching.lost)


def test_a_budget_that_cannot_be_kept_ends_the_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with pytest.raises(DiskBudgetError, match="larger --disk-budget"):
        heavy(tmp_path, Watching(tmp_path), disk_budget="10kB")
    study = Study.resume("study", workspace=tmp_path, evaluator=HeavyEvaluator(), disk_budget="1MB")
    assert study.status == "finished"


def test_a_smaller_budget_holds_from_the_start(tmp_path: Path) -> None:
    heavy(tmp_path, Watching(tmp_path), checkpoint="all", options={})
    watching = Watching(tmp_path)
    evaluator = HeavyEvaluator()
    Study.resume("study", workspace=tmp_path, evaluator=evaluator, disk_budget="130kB", progress=watching)
    assert watching.lost
    kept = sum(file.stat().st_size for file in (tmp_path / "checkpoints").rglob("*") if file.is_file())
    assert kept <= 130_000


@pytest.mark.parametrize("size", ["much", "0", "-5GB", "5XB", 0])
def test_wrong_sizes_are_refused(tmp_path: Path, size: Any) -> None:
    with pytest.raises(RequestError, match="a disk budget must be a size above 0"):
        toy(tmp_path, disk_budget=size)


def test_sizes_are_decimal_unless_said_otherwise() -> None:
    from automl_core.spec import parse_size

    assert [parse_size(size) for size in ("5GB", "1.5 MiB", 7, "2k")] == [5 * 10**9, 3 * 2**19, 7, 2000]


def test_a_store_that_cannot_be_opened_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="protocol of a store 'nonsense'"):
        toy(tmp_path, store="nonsense://bucket/x")
    assert not (tmp_path / "journal.sqlite").exists()


def test_a_study_keeps_its_checkpoints_where_its_store_is(tmp_path: Path) -> None:
    study = toy(tmp_path / "workspace", store=f"file://{tmp_path}/elsewhere", checkpoint="all").run()
    assert not (tmp_path / "workspace" / "checkpoints").exists()
    assert list((tmp_path / "elsewhere").glob("workspace-*/checkpoints/1/*"))
    study.workspace.delete("study")
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]


def test_what_training_does_not_change_is_never_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def claims_everything(self: ToyEstimator) -> Estimate:
        return Estimate({"accuracy": 0.75, "size": -1.0})

    monkeypatch.setattr(ToyEstimator, "estimate", claims_everything)
    found = toy(tmp_path, estimator="toy", objective=["accuracy:max", "size:min"], trials=4).run()
    rows = [row for row in found.record.trials() if row.role == "candidate"]
    assert [row.objectives for row in rows] == [{"accuracy": 0.75, "size": row.metrics["size"]} for row in rows]


def test_estimators_say_what_the_user_should_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: ToyEstimator, evaluator: Evaluator) -> list[str]:
        if self.problem.max_budget > 4:
            raise RequestError("budgets must be at most 4")
        return [f"estimates {', '.join(evaluator.metrics)}"]

    monkeypatch.setattr(ToyEstimator, "check", check)
    assert toy(tmp_path, estimator="toy").notes == ["estimator toy: estimates accuracy, loss, size, latency"]
    with pytest.raises(RequestError, match="at most 4"):
        toy(tmp_path, estimator="toy", max_budget=8)


def test_estimators_in_the_engine_learn_from_all_that_was_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def learn(self: ToyEstimator, configuration: Configuration, history: Sequence[Segment]) -> None:
        seen.append((dict(configuration), [(one.trial, one.points[-1].unit) for one in history]))

    monkeypatch.setattr(ToyEstimator, "learn", learn)
    found = toy(tmp_path, estimator="toy", trials=3, searcher="random", max_budget=2).run()
    told = [(0, 2), (1, 2), (2, 2)]
    configurations = [dict(row.configuration) for row in found.record.trials()]
    assert seen == [(configurations[place], told[:place]) for place in range(3)]
