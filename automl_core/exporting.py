"""Exporting: weights, descriptions and numbers of trials as files that others can use."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import automl_core
from automl_core.errors import RequestError, reason
from automl_core.interfaces import Context, Dataset, Description
from automl_core.journal import TrialUpdate
from automl_core.new_directories import new_directory
from automl_core.recipes import FILE as RECIPE_FILE
from automl_core.recipes import has_recipe, made_recipe
from automl_core.records import UNDER_WAY, TrialRow, plain
from automl_core.retraining import LABEL, candidate, refuse_untrained, sized_space
from automl_core.storage import MANIFEST
from automl_core.types import OVER, Json

if TYPE_CHECKING:
    from automl_core.study import Study

log = logging.getLogger(__name__)

DESCRIPTION = "description.json"
CARD = "README.md"
PICTURE = "graph.svg"


def export(study: Study, directory: Path, trial: int | None) -> dict[str, Json]:
    """Writes what the evaluator exports, ``description.json``, ``recipe.yaml`` and a model card into a new directory.

    Retrained weights are taken when there are any (the first repetition's, never the best by test accuracy), else
    those of the search, from the trial's checkpoint. The recipe is that of these weights; there is one where the
    evaluator is given by name and reads descriptions.

    Args:
        study: A study that has been run.
        directory: Where to; must not exist, or be empty.
        trial: The candidate, or a finished support trial (a teacher, a control, one retraining); when
            None the best candidate, or where nothing was searched the first retraining.

    Returns:
        JSON: ``directory``, ``files``, ``trial``, ``label`` (empty for a candidate), ``retrained``.

    Raises:
        RequestError: When the directory is in use, or the trial's weights are gone.
    """
    refuse_untrained(study, "an export")
    if trial is None and not study.searched:
        trial = next((one.number for one in _retrained(study, None)), None)
    support = trial is not None and any(row.number == trial and row.role == "support" for row in study.record.trials())
    chosen = _finished(study, trial, "an export") if support and trial is not None else candidate(study, trial)
    with new_directory(directory, "an export") as temporary:
        retrained = _write_support(study, chosen, temporary) if support else _write_candidate(study, chosen, temporary)
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    told = {"trial": chosen.number, "label": chosen.label, "retrained": retrained}
    return {"directory": str(directory), "files": files, **told}


def _write_candidate(study: Study, chosen: TrialRow, directory: Path) -> bool:
    """Writes all files of a candidate, and tells whether the weights are those of a retraining."""
    retrained = _retrained(study, chosen.number)
    if retrained:
        _copy_artefact(study, retrained[0].number, directory)
    else:
        _from_checkpoint(study, chosen, directory)
    setting = retrained[0].instruction["setting"] if retrained else {}
    description = sized_space(study, setting).decode(chosen.configuration)
    picture = _describe(study, {"configuration": dict(chosen.configuration)}, description, chosen, directory)
    budget = retrained[0].budget if retrained else study.spec.max_budget
    recipe = _write_recipe(study, chosen, description, setting, budget, directory)
    (directory / CARD).write_text(_card(study, chosen, retrained, picture) + recipe)
    return bool(retrained)


def _write_support(study: Study, chosen: TrialRow, directory: Path) -> bool:
    """Writes all files of a support trial, and tells whether it is trained for good."""
    told = _artefact(study, chosen, "an export")[1]
    _copy_artefact(study, chosen.number, directory)
    description = study.assembly.workbench(told["setting"]).evaluator.parse(told["description"])
    picture = _describe(study, {"trained": chosen.label}, description, chosen, directory)
    recipe = _write_recipe(study, chosen, description, told["setting"], told["max_budget"], directory)
    (directory / CARD).write_text(_support_card(study, chosen, told, picture) + recipe)
    return bool(told["split"] == "final")


def _describe(study: Study, what: Json, description: Description, chosen: TrialRow, directory: Path) -> bool:
    """Writes the description and, where there is one, its picture; tells whether there is."""
    document = {"space": study.spec.space.name, **what, "description": description.to_json()}
    (directory / DESCRIPTION).write_text(json.dumps(plain(document), indent=2) + "\n")
    picture = study.assembly.evaluator.picture(description, chosen.metrics)
    if picture is not None:
        (directory / PICTURE).write_text(picture)
    return picture is not None


def _write_recipe(
    study: Study, chosen: TrialRow, description: Description, setting: Mapping[str, Json], budget: int, directory: Path
) -> str:
    """Writes the recipe where there can be one; gives what the card says of it."""
    if not has_recipe(study.assembly.evaluator, study.spec):
        return ""
    made_recipe(study, chosen, description, setting, budget).write(directory / RECIPE_FILE)
    return (
        f"\n`{RECIPE_FILE}` says how to train it anew, on the same data or on others, here or elsewhere:\n\n"
        f"```console\n$ automl retrain {RECIPE_FILE} --dataset NAME\n```\n"
    )


@dataclass(frozen=True)
class Exported:
    """What a trial's evaluation exported.

    Args:
        directory: Holds what ``Evaluation.export`` wrote; to be read only.
        trial: The trial; where a candidate's own weights are gone, that of its first retraining.
        dataset: What it was trained on; a retraining's may be another than the study's.
        instruction: What a support trial was told to train; None for a candidate.
    """

    directory: Path
    trial: TrialRow
    dataset: Dataset | None
    instruction: Json = None


@contextmanager
def exported(study: Study, trial: int | None = None) -> Iterator[Exported]:
    """Gives what a finished trial of either role exports, for as long as the block lasts.

    A candidate's is written from its checkpoint into a temporary directory; a support trial's (a teacher, a control,
    a retraining) is its artefact as it is kept. Where a candidate's checkpoint is gone, its first retraining is given,
    which is logged.

    Args:
        study: A study that has been run.
        trial: Number of the trial; the best candidate when None.

    Raises:
        RequestError: For an unknown or unfinished trial, one that ended without a value or that the searcher trains of
            its own, or whose weights are gone.
    """
    refuse_untrained(study, "a look at a trained network")
    chosen = _finished(study, study.best.trial if trial is None else trial, "a look at a trained network")
    retrained = _retrained(study, chosen.number) if chosen.role == "candidate" else []
    if retrained and not _checkpoints(study, chosen.number):
        log.warning(
            "the checkpoint of trial %d was not kept; trial %d, its first retraining, is taken in its place",
            *(chosen.number, retrained[0].number),
        )
        chosen = _finished(study, retrained[0].number, "a look at a trained network")
    if chosen.role == "candidate":
        with TemporaryDirectory(prefix="automl-export-") as directory:
            _from_checkpoint(study, chosen, Path(directory), "a look at a trained network")
            yield Exported(Path(directory), chosen, study.assembly.dataset)
        return
    key, told = _artefact(study, chosen, "a look at a trained network")
    yield Exported(study.store.directory(key), chosen, study.assembly.workbench(told["setting"]).dataset, told)


def _artefact(study: Study, chosen: TrialRow, what: str) -> tuple[str, Json]:
    """Gives the key of a finished support trial's artefact, and what it was told to train."""
    begun = study.record.journal.begun(chosen.number)
    key = f"artefacts/{begun['address']}"
    if begun["address"] is None:
        raise RequestError(
            f"{what} needs a network that is kept, but trial {chosen.number} ({chosen.label}) is what the searcher "
            "trains of its own; choose a candidate, or retrain one"
        )
    if not study.store.has(key):
        raise RequestError(
            f"{what} needs weights, but those of trial {chosen.number} ({chosen.label}) are not in "
            f"{study.store.location} any more; 'automl retrain {study.name}' trains new ones"
        )
    return key, begun["job"]["instruction"]


def with_weights(study: Study) -> list[TrialRow]:
    """Lists the finished trials of both roles that :func:`exported` can give, by number.

    Raises:
        RequestError: When the study's evaluator trains nothing.
    """
    refuse_untrained(study, "a look at trained networks")
    journal, store = study.record.journal, study.store

    def kept(row: TrialRow) -> bool:
        if row.role == "candidate":
            return bool(_checkpoints(study, row.number))
        address = journal.begun(row.number)["address"]
        return address is not None and store.has(f"artefacts/{address}")

    return [row for row in study.record.trials() if _is_finished(row) and kept(row)]


def _finished(study: Study, number: int, what: str) -> TrialRow:
    rows = {row.number: row for row in study.record.trials()}
    if number not in rows:
        raise RequestError(
            f"--trial must name a trial of study {study.name!r}, but got {number}; 'automl show {study.name}' lists "
            f"its {len(rows)}"
        )
    row = rows[number]
    if row.status in OVER:
        raise RequestError(
            f"{what} needs a trial that ended with a value, but trial {number} is {row.status}"
            + (f" ({reason(row.error)})" if row.error else "")
            + f"; 'automl show {study.name}' lists others"
        )
    if not _is_finished(row):
        raise RequestError(
            f"{what} needs a finished trial, but trial {number} is {row.status}; wait for it, or go on with "
            f"'automl resume {study.name}'"
        )
    return row


def _is_finished(row: TrialRow) -> bool:
    return row.status not in OVER and row.status not in UNDER_WAY and row.status != "interrupted"


def _retrained(study: Study, number: int | None) -> list[TrialUpdate]:
    """Lists the finished retrainings of a candidate, or where nothing was searched (None), first repetition first.

    They are those of the latest call's kind.
    """
    found = [
        trial
        for trial in study.record.journal.trials()
        if trial.label == LABEL and trial.status == "completed" and trial.instruction["of"] == number
    ]
    if not found:
        return []
    kind = _kind(found[-1])
    return sorted((trial for trial in found if _kind(trial) == kind), key=lambda trial: trial.instruction["repeat"])


def _kind(trial: TrialUpdate) -> tuple[int, str]:
    return trial.budget, json.dumps(trial.instruction["setting"], sort_keys=True)


def _copy_artefact(study: Study, number: int, directory: Path) -> None:
    from automl_core.engine.worker import OUTCOME

    address = study.record.journal.begun(number)["address"]
    source = study.store.directory(f"artefacts/{address}")
    shutil.copytree(source, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, OUTCOME))


def _checkpoints(study: Study, number: int) -> list[str]:
    return study.store.keys(f"checkpoints/{study.record.journal.row.id}/{number}")


def _from_checkpoint(study: Study, chosen: TrialRow, directory: Path, what: str = "an export") -> None:
    from automl_core.engine.state import trial_key
    from automl_core.randomness import derive_seed

    store, assembly = study.store, study.assembly
    kept = _checkpoints(study, chosen.number)
    if not kept:
        raise RequestError(
            f"{what} needs weights, but the checkpoint of trial {chosen.number} was not kept; 'automl retrain "
            f"{study.name} --trial {chosen.number}' makes new ones, which are taken then, or run studies with "
            "--checkpoint all"
        )
    description = assembly.space.decode(chosen.configuration)
    requires = study.record.journal.begun(chosen.number)["requires"]
    context = Context(
        seed=derive_seed(study.spec.seed, trial_key(assembly.space, chosen.configuration)),
        max_budget=study.spec.max_budget,
        dataset=assembly.dataset,
        artefacts=tuple(store.directory(f"artefacts/{address}") for address in requires),
        device=assembly.device,
        threads=assembly.threads,
        metrics=assembly.named_metrics,
    )
    evaluation = assembly.evaluator.start(description, context)
    evaluation.load(store.directory(kept[-1]) / "evaluation")
    evaluation.export(directory)


def _card(study: Study, chosen: TrialRow, retrained: list[TrialUpdate], picture: bool) -> str:
    spec = study.spec
    data = spec.dataset.name if spec.dataset is not None else "no data set"
    lines = [
        f"# {spec.space.name}, trial {chosen.number} of study {spec.name}",
        "",
        f"Found by `{spec.searcher.name}` in the space `{spec.space.name}` on `{data}`, seed {spec.seed}, with "
        f"automl-graph {automl_core.__version__}.",
        "",
    ]
    if picture:
        lines += [f"![the graph]({PICTURE})", ""]
    lines += ["| measured | on | value |", "|---|---|---|"]
    budget = f"{chosen.budget} {spec.unit}"
    lines += [f"| {name} | validation, search, {budget} | {_number(value)} |" for name, value in chosen.metrics.items()]
    for trial in retrained:
        told: dict[str, Any] = trial.instruction
        where = (told["setting"].get("dataset") or {}).get("name", data)
        lines.append(
            f"| {spec.objectives[0].partition(':')[0]} | test of {where}, retraining {told['repeat'] + 1} of "
            f"{len(retrained)}, after {trial.budget} {spec.unit} | {_number(trial.value)} |"
        )
    weights = "the first retraining, on training + validation data" if retrained else "the search, on training data"
    lines += ["", f"The weights are those of {weights}.", "", "Configuration:", "", "```json"]
    return "\n".join([*lines, json.dumps(dict(chosen.configuration), indent=2), "```", ""])


def _support_card(study: Study, chosen: TrialRow, told: Json, picture: bool) -> str:
    spec = study.spec
    data = spec.dataset.name if spec.dataset is not None else "no data set"
    where = (told["setting"].get("dataset") or {}).get("name", data)
    trained, measured = ("training + validation", "test") if told["split"] == "final" else ("training", "validation")
    lines = [
        f"# {chosen.label}, trial {chosen.number} of study {spec.name}",
        "",
        f"A network beside those of the search in the space `{spec.space.name}`, trained on {trained} data of "
        f"`{where}`, seed {spec.seed}, with automl-graph {automl_core.__version__}.",
        "",
        *([f"![the graph]({PICTURE})", ""] if picture else []),
        "| measured | on | value |",
        "|---|---|---|",
    ]
    budget = f"{chosen.budget} {spec.unit}"
    lines += [f"| {name} | {measured}, after {budget} | {_number(value)} |" for name, value in chosen.metrics.items()]
    return "\n".join([*lines, ""])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
