"""Hooks: each one is documented, and each one is called."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace

from automl_core import Job, Outcome, RequestError, Study, hookimpl, hookspecs
from automl_core.hookspecs import Register
from automl_core.plugins import KINDS, Registry, use_registry

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("automl_"))
REGISTERING = sorted(KINDS.values())
OBSERVING = sorted(set(HOOKS) - set(REGISTERING))


class Watcher:
    """Implements every observer hook and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    @hookimpl
    def automl_study_started(self, study: Study) -> None:
        self.told.append(("automl_study_started", study.name))

    @hookimpl
    def automl_job_finished(self, study: Study, job: Job, outcome: Outcome) -> None:
        recorded = {row.number: row.value for row in study.record.trials()}
        self.told.append(("automl_job_finished", (job.trial, outcome.status, recorded[job.trial])))

    @hookimpl
    def automl_incumbent_changed(self, study: Study, trial: int, value: float) -> None:
        self.told.append(("automl_incumbent_changed", (trial, value)))

    @hookimpl
    def automl_study_finished(self, study: Study) -> None:
        self.told.append(("automl_study_finished", study.name))

    def about(self, hook: str) -> list[Any]:
        return [fact for name, fact in self.told if name == hook]


def registry_with(**plugins: object) -> Registry:
    registry = Registry()
    for name, plugin in plugins.items():
        registry.add(name, plugin)
    return registry


def study(workspace: Path, **changes: Any) -> Study:
    space = ConfigurationSpace({"x": list(range(8))}, seed=0)
    return Study(space, evaluator=lambda configuration, budget, seed: float(configuration["x"]), trials=6, seed=1,
                 name="watched", workspace=workspace, **changes)  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented(hook: str) -> None:
    assert (getattr(hookspecs, hook).__doc__ or "").strip().endswith(".")
    text = DOCUMENTATION.read_text()
    assert f"def {hook}(" in text, f"docs/plugins.md must show how {hook} is implemented"


def test_every_hook_registers_or_observes_and_is_tested_here() -> None:
    implemented = {name for name in vars(Watcher) if name.startswith("automl_")}
    assert implemented == set(OBSERVING)
    assert len(REGISTERING) == len(KINDS)
    assert set(HOOKS) == set(REGISTERING) | set(OBSERVING)


@pytest.mark.parametrize(("kind", "hook"), sorted(KINDS.items()))
def test_a_registering_hook_adds_a_part_of_its_kind(kind: str, hook: str) -> None:
    def implementation(register: Register) -> None:
        register("mine", "automl_core.types:Objective", summary="for this test")

    plugin = type("Plugin", (), {hook: staticmethod(hookimpl(implementation))})()
    registry = registry_with(testing=plugin)
    entry = registry.entry(kind, "mine")
    assert (entry.kind, entry.plugin, entry.summary) == (kind, "testing", "for this test")
    assert entry.load().__name__ == "Objective"
    assert [other for other in KINDS if "mine" in registry.names(other)] == [kind]


def test_observers_are_told_of_a_study_in_order(tmp_path: Path) -> None:
    watcher = Watcher()
    with use_registry(registry_with(watching=watcher)):
        ran = study(tmp_path).run()
    assert watcher.told[0] == ("automl_study_started", "watched")
    assert watcher.told[-1] == ("automl_study_finished", "watched")
    jobs = watcher.about("automl_job_finished")
    assert [trial for trial, _, _ in jobs] == list(range(6))
    assert {status for _, status, _ in jobs} == {"done"}
    incumbents = [value for _, value in watcher.about("automl_incumbent_changed")]
    assert incumbents == sorted(set(incumbents))
    assert incumbents[-1] == ran.best.value


def test_an_outcome_is_journalled_before_observers_hear_of_it(tmp_path: Path) -> None:
    watcher = Watcher()
    with use_registry(registry_with(watching=watcher)):
        study(tmp_path).run()
    assert all(value is not None for _, _, value in watcher.about("automl_job_finished"))


def test_an_incumbent_changes_only_for_the_better_of_the_objectives_direction(tmp_path: Path) -> None:
    watcher = Watcher()
    with use_registry(registry_with(watching=watcher)):
        study(tmp_path, objective="value:min").run()
    values = [value for _, value in watcher.about("automl_incumbent_changed")]
    assert values == sorted(set(values), reverse=True)


def test_a_failing_observer_is_logged_and_neither_the_study_nor_the_others_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        @hookimpl(tryfirst=True)
        def automl_job_finished(self, job: Job) -> None:
            raise RuntimeError(f"no more of trial {job.trial}")

    watcher = Watcher()
    with use_registry(registry_with(watching=watcher, failing=Failing())), caplog.at_level(logging.ERROR):
        ran = study(tmp_path).run()
    assert ran.status == "finished"
    assert len(watcher.about("automl_job_finished")) == 6
    assert "automl_job_finished of plugin 'failing' failed" in caplog.text


def test_an_interrupted_study_is_not_finished_and_starts_again(tmp_path: Path) -> None:
    watcher = Watcher()
    with use_registry(registry_with(watching=watcher)):
        stopped = study(tmp_path).run(time_limit=1e-9)
        assert watcher.about("automl_study_finished") == []
        stopped.run()
    assert len(watcher.about("automl_study_started")) == 2
    assert watcher.about("automl_study_finished") == ["watched"]


def test_a_study_that_is_refused_is_told_to_no_observer_and_leaves_no_row(tmp_path: Path) -> None:
    watcher = Watcher()
    with use_registry(registry_with(watching=watcher)):
        with pytest.raises(RequestError, match="time limit must be above 0"):
            study(tmp_path).run(time_limit=0.0)
        assert watcher.told == []
        assert study(tmp_path).run().status == "finished", "the name must still be free"


def test_a_wrapper_is_refused_since_it_would_never_run() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def automl_study_finished(self, study: object) -> object:
            return (yield)

    with pytest.raises(RequestError, match="automl_study_finished is a wrapper"):
        Registry(found=[]).add("wrapper", Wrapper())
