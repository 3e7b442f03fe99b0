"""Retraining: the chosen configuration, trained anew on training + validation data and measured on the test data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from automl_core.building import build_dataset, build_evaluator, build_space
from automl_core.engine.artefacts import Purpose
from automl_core.engine.progress import Progress
from automl_core.engine.state import Trial
from automl_core.errors import RequestError, StudyFailed, reason
from automl_core.interfaces import ArtefactRequest, Dataset, Evaluator, SearchSpace
from automl_core.records import TrialRow, plain
from automl_core.resolving import choose_preset, deep_merged, split_options
from automl_core.spec import Part
from automl_core.types import OVER, Configuration, Json

if TYPE_CHECKING:
    from automl_core.study import Study

LABEL = "retraining"
REPEATS = 5


def retrain(
    study: Study,
    trial: int | None,
    epochs: int | None,
    repeats: int | None,
    dataset: str | None,
    preset: str | None,
    options: Mapping[str, Mapping[str, Json]],
    progress: Progress,
    time_limit: float | None = None,
    average: int | None = None,
) -> dict[str, Json]:
    """Trains a candidate and its controls ``repeats`` times each, as support trials of the study.

    Args:
        study: A study that has been run, or one over a space of a single configuration.
        trial: The candidate; when None the best one, or where nothing was searched the space's only configuration.
        epochs: Budget of each training; that of the preset when one is given, else the study's maximum.
        repeats: Number of trainings, each with its own seed; that of the preset, or else 5, when None.
        dataset: Another data set than the study's.
        preset: Another preset's trainer options than the study's, and what else it says of retraining.
        options: Options of ``dataset``, ``trainer`` and ``space`` that win over those. Those of the space size what a
            configuration stands for, such as the number of cells; the configuration must be one of it all the same.
        progress: Watches.
        time_limit: Seconds after which to stop; calling again goes on.
        average: Over how many of the last epochs each training's value is the mean; that of the preset, or else 1,
            when None.

    Returns:
        JSON: ``study``, ``trial`` (None where nothing was searched), ``epochs``, ``dataset``, ``metric``, ``average``,
        ``status``, and per label (the retraining and each control) the test values, their mean and their sample
        standard deviation.

    Raises:
        RequestError: For an unknown trial, or numbers that are not above 0.
        StudyFailed: When a training failed.
    """
    from automl_core.running import check_time_limit, session

    refuse_untrained(study, "a retraining")
    check_time_limit(time_limit)
    configuration, number = _subject(study, trial)
    setting, published = _setting(study, dataset, preset, options)
    repeats = repeats if repeats is not None else published.get("repeats", REPEATS)
    if repeats < 1:
        raise RequestError(f"repeats must be above 0, but got {repeats}; pass --repeats 1 or more")
    budget = epochs if epochs is not None else published.get("max_budget") or study.spec.max_budget
    if budget < 1:
        raise RequestError(f"epochs must be above 0, but got {budget}; pass --epochs 1 or more")
    average = average if average is not None else min(published.get("average", 1), budget)
    if not 1 <= average <= budget:
        raise RequestError(
            f"average must be from 1 to the number of epochs ({budget}), but got {average}; pass --average 1 to report "
            "the last epoch alone"
        )
    assembly = study.assembly
    bench = assembly.workbench(setting)
    space = sized_space(study, setting)
    bench.evaluator.check(space, bench.dataset)
    subject = bench.evaluator.translated(space.decode(configuration))
    subjects = {LABEL: subject, **bench.evaluator.controls(subject)}
    trained: dict[str, list[Trial]] = {}
    with study.begun(), session(study, time_limit, progress, searches=False) as engine:
        engine.observers.progress.started(study)
        for label, description in subjects.items():
            requests = [
                ArtefactRequest(label, bench.evaluator.repeated(description, repeat), budget, "final", repeat)
                for repeat in range(repeats)
            ]
            purpose: Purpose = "retraining" if label == LABEL else "control"
            trained[label] = engine.train(requests, purpose, of=number, setting=setting)
        if number is None:  # there is no search whose status it would be
            study.status = engine.cut_short or ("failed" if _failed(trained) else "finished")
    progress.finished(study)
    _refuse_failures(trained)
    metric = assembly.objectives[0].metric
    data = setting["dataset"] if setting else None
    name = data["name"] if data else study.spec.dataset.name if study.spec.dataset is not None else None
    return {
        "study": study.name,
        "trial": number,
        "epochs": budget,
        "dataset": name,
        "metric": metric,
        "repeats": repeats,
        "average": average,
        "status": engine.cut_short or "finished",
        "results": [
            _result(label, trials, assembly.objectives[0].metric, average) for label, trials in trained.items()
        ],
    }


def refuse_untrained(study: Study, what: str) -> None:
    """Refuses what needs a training where results are looked up or calculated.

    Raises:
        RequestError: When the study's evaluator trains nothing.
    """
    if not study.assembly.evaluator.trains:
        raise RequestError(
            f"{what} needs networks that are trained, but evaluator {study.spec.evaluator.name!r} trains none; run a "
            "study with one that does"
        )


def candidate(study: Study, trial: int | None) -> TrialRow:
    """Finds a candidate by number; the best one for None.

    Raises:
        RequestError: When there is no such candidate.
    """
    number = study.best.trial if trial is None else trial
    found = {row.number: row for row in study.record.trials() if row.role == "candidate"}
    if number not in found:
        raise RequestError(
            f"--trial must name a candidate of study {study.name!r}, but got {number}; 'automl show {study.name}' "
            f"lists its {len(found)}"
        )
    return found[number]


def _subject(study: Study, trial: int | None) -> tuple[Configuration, int | None]:
    """Gives the configuration to train, and the number of its candidate; None where nothing was searched."""
    if trial is None and not study.searched and study.assembly.space.size() == 1:
        only = next(study.assembly.space.enumerate(), None)
        if only is not None:
            return only, None
    chosen = candidate(study, trial)
    return chosen.configuration, chosen.number


def _preset(study: Study, evaluator: Evaluator, dataset: Dataset | None, name: str) -> Mapping[str, Any]:
    return choose_preset(evaluator, dataset, name, study.assembly.space, study.spec.evaluator.name)


def sized_space(study: Study, setting: Mapping[str, Json]) -> SearchSpace:
    """Gives the study's search space as a retraining's setting sizes it: its configurations stand for others there.

    Raises:
        RequestError: For a wrong option, or a study whose space was given as an object.
    """
    sizes = setting.get("space")
    if not sizes:
        return study.assembly.space
    part = study.spec.space
    if part.given:
        raise RequestError(
            "a retraining with options of the space needs a space by name, but the study was given an object; leave "
            f"space.{next(iter(sizes))} out"
        )
    return build_space(replace(part, options={**part.options, **sizes}), {}, study.assembly.registry)


def _setting(
    study: Study, dataset: str | None, preset: str | None, options: Mapping[str, Mapping[str, Json]]
) -> tuple[dict[str, Json], Mapping[str, Any]]:
    """Gives what differs from the study's own data set, trainer and space, and the preset that was named, if any.

    What a preset has under ``retrain`` goes before the rest of it.
    """
    by_part = split_options(options)
    misplaced = [part for part, values in by_part.items() if values and part not in ("dataset", "trainer", "space")]
    if misplaced:
        raise RequestError(f"a retraining takes options of dataset, trainer and space, but got some of {misplaced[0]}")
    if dataset is None and preset is None and not any(by_part.values()):
        return {}, {}
    spec, assembly = study.spec, study.assembly
    same = dataset is None or (spec.dataset is not None and dataset == spec.dataset.name)
    if spec.dataset is not None and spec.dataset.given and same:
        raise RequestError("a retraining with options needs a data set by name, but the study was given an object")
    recorded = spec.dataset.options if same and spec.dataset is not None else {}
    if preset is not None:  # what the study's preset chose (a limit, say) goes; what the user chose stays
        theirs = _preset(study, assembly.evaluator, assembly.dataset, spec.preset).get("dataset", {})
        recorded = {key: value for key, value in recorded.items() if key not in theirs}
    name = dataset or (spec.dataset.name if spec.dataset is not None else None)
    chosen = None if name is None else Part(name, {**recorded, **by_part["dataset"]})
    published: Mapping[str, Any] = {}
    if preset is not None:
        evaluator = build_evaluator(spec.evaluator, {}, assembly.objects, assembly.registry)
        evaluator.attach(study.workspace, assembly.space)
        data = build_dataset(chosen, evaluator, assembly.space, assembly.objects, assembly.registry)
        found = _preset(study, evaluator, data, preset)
        # A space's options belong to its configurations; those that only size a network a preset has under ``retrain``.
        alone = {key: value for key, value in found.items() if key != "space"}
        published = deep_merged(alone, found.get("retrain", {}))
    sizes = {**published.get("space", {}), **by_part["space"]}
    setting = {
        "dataset": None if chosen is None else {"name": chosen.name, "options": dict(chosen.options)},
        "trainer": {**(spec.trainer if preset is None else published.get("trainer", {})), **by_part["trainer"]},
        **({"space": sizes} if sizes else {}),
    }
    return setting, published


def _refuse_failures(trained: Mapping[str, list[Trial]]) -> None:
    for label, trial in _failed(trained):
        why = reason(trial.error)
        raise StudyFailed(f"every training must end with a value, but {label} (trial {trial.number}): {why}")


def _failed(trained: Mapping[str, list[Trial]]) -> list[tuple[str, Trial]]:
    return [(label, trial) for label, trials in trained.items() for trial in trials if trial.status in OVER]


def _result(label: str, trials: list[Trial], metric: str, average: int) -> dict[str, Json]:
    done = [trial for trial in trials if trial.status == "completed" and trial.values]
    values = [statistics.fmean(point.metrics[metric] for point in trial.curve[-average:]) for trial in done]
    result = {
        "label": label,
        "trials": [trial.number for trial in trials],
        "values": values,
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
    }
    return dict(plain(result))
