"""Refinements as studies: killed, resumed, decided by people, on several workers, trained for real."""

import pytest
from killing import killed

from automl_core import Study
from automl_core.errors import RequestError
from automl_core.records import Workspace
from automl_refine import Refinement, go_on, refine

TABLE = {"evaluator": "tabular", "name": "cells", "seed": 3}
SEARCH = {"per_step": 60, "lower_limit": 200, "choose": "auc", "min_group": 5}


def cells(workspace, **changed):
    return Study("nas-bench-201", "refine", workspace=workspace, options={"searcher": {**SEARCH, **changed}}, **TABLE)


def told(study):
    """Everything that a refinement says, without when it was."""
    return Refinement.of(study).to_json(), study.record.to_json(times=False)


def test_killed_again_and_again_it_ends_as_if_it_had_not_been(tmp_path):
    expected = told(cells(tmp_path / "whole").run())
    assert expected[0]["status"] == "done" and len(expected[0]["steps"]) == 3
    workspace, kills = tmp_path / "killed", 0

    def go_on():
        known = Workspace(workspace)
        if known.exists() and known.studies():
            Study.resume("cells", workspace=workspace)
        else:
            cells(workspace).run()

    while killed(go_on, "journal.committed", 40):
        kills += 1
    assert kills > 3
    assert told(Study.load("cells", workspace=workspace)) == expected


def test_what_was_known_is_not_paid_for_again(tmp_path):
    study = cells(tmp_path).run()
    found, rows = Refinement.of(study), study.record.trials()
    space = study.assembly.space
    paid = [space.canonical(row.configuration) for row in rows if row.role == "candidate" and row.cost > 0]
    assert len(paid) == len(set(paid)) < len(rows)
    assert all(step.migrated > 0 for step in found.steps[1:])
    assert len(rows) == sum(step.drawn for step in found.steps)
    trials = [{member.trial for member in step.members} for step in found.steps]
    assert all(len(wider & narrower) == step.migrated for wider, narrower, step in _steps(trials, found))


def _steps(trials, found):
    for place, step in enumerate(found.steps[1:], start=1):
        yield set().union(*trials[:place]), trials[place], step


def test_workers_in_simulated_time_replay_to_the_same_decisions(tmp_path):
    study = Study(
        "nas-bench-201",
        "refine",
        workspace=tmp_path,
        executor="simulated",
        workers=7,
        options={"searcher": SEARCH},
        **TABLE,
    ).run()
    found = Refinement.of(study)
    assert found.status == "done" and found.exhausted and found.letters[-1] == "X"
    assert found.best == study.best.trial


def test_a_function_decides_in_python_and_may_stop(tmp_path):
    asked = []

    def decide(step):
        asked.append(step)
        return {"condition": "edge_0_1", "category": "nor_conv_3x3"} if len(asked) == 1 else None

    found = refine("nas-bench-201", choose=decide, per_step=60, min_group=5, workspace=tmp_path, **TABLE)
    assert len(asked) == 2 and found.status == "stopped" and found.reason == "stopped by hand"
    assert [step.reason for step in found.steps] == ["chosen by hand", "stopped by hand"]
    assert found.space.restriction.to_json() == {"fixed": {"edge_0_1": "nor_conv_3x3"}}
    assert told(Study.load("cells", workspace=tmp_path))[0] == found.to_json()


def test_a_function_that_was_interrupted_is_asked_again(tmp_path):
    asked = []

    def decide(step):
        asked.append(step)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"condition": "edge_0_1", "category": "nor_conv_3x3"} if len(asked) == 1 else None

    with pytest.raises(KeyboardInterrupt):
        refine("nas-bench-201", choose=decide, per_step=60, min_group=5, workspace=tmp_path, **TABLE)
    found = go_on(Study.load("cells", workspace=tmp_path), decide)
    assert len(asked) == 3 and found.status == "stopped" and len(found.steps) == 2


def test_what_is_no_decision_is_refused_and_leaves_it_waiting(tmp_path):
    for number, wrong in enumerate((lambda step: step.table.rows(), lambda step: "nor_conv_3x3")):
        with pytest.raises(RequestError, match=r"condition\.label and row\.category\.label"):
            refine("nas-bench-201", choose=wrong, per_step=60, min_group=5, workspace=tmp_path / str(number), **TABLE)
    assert go_on(Study.load("cells", workspace=tmp_path / "0")).status == "waiting"
    with pytest.raises(RequestError, match="a function of a step"):
        refine("nas-bench-201", choose="best", workspace=tmp_path, **TABLE)


def test_a_time_limit_holds_for_all_steps_together(tmp_path):
    def decide(step):
        return {"condition": "edge_0_1", "category": "nor_conv_3x3"}

    found = refine(
        "nas-bench-201", choose=decide, per_step=60, min_group=5, time_limit=1e-4, workspace=tmp_path, **TABLE
    )
    assert found.status == "sampling" and found.source.status == "time-limit"
    assert go_on(found.source, lambda step: None).status == "stopped"


def test_a_persons_decision_is_journalled_and_a_wrong_one_leaves_nothing(tmp_path):
    study = cells(tmp_path, choose="ask").run()
    assert study.status == "finished" and Refinement.of(study).status == "waiting"
    before = list(study.record.journal.events())
    with pytest.raises(RequestError, match="did you mean"):
        Study.resume("cells", workspace=tmp_path, instruction={"condition": "edge_0_1", "category": "nor_conv_3"})
    loaded = Study.load("cells", workspace=tmp_path)
    assert list(loaded.record.journal.events()) == before and loaded.status == "finished"
    decision = {"condition": "edge_0_1", "category": "nor_conv_3x3"}
    study = Study.resume("cells", workspace=tmp_path, instruction=decision)
    assert Refinement.of(study).status == "waiting" and len(Refinement.of(study).steps) == 1
    events = [payload for kind, payload in study.record.journal.events() if kind == "instruct"]
    assert events == [{"instruction": decision}]


def test_a_limit_of_trials_cuts_it_and_can_be_raised(tmp_path):
    study = Study("nas-bench-201", "refine", workspace=tmp_path, trials=70, options={"searcher": SEARCH}, **TABLE).run()
    found = Refinement.of(study)
    assert found.status == "stopped" and "limit of 70 trials" in found.reason and len(found.steps) == 1
    study = Study.resume("cells", workspace=tmp_path, trials=1000)
    assert Refinement.of(study).status == "done"


def test_only_refinements_are_read_as_such(tmp_path):
    study = Study("nas-bench-201", "random", workspace=tmp_path, trials=3, **TABLE).run()
    with pytest.raises(RequestError, match="automl areas cells"):
        Refinement.of(study)


def test_each_space_becomes_a_file_that_stands_for_it(tmp_path):
    study = cells(tmp_path / "w").run()
    found = Refinement.of(study)
    names = dict(found.designs())
    assert list(names) == list(found.letters)
    path = tmp_path / "X.yaml"
    names["X"].write(path)
    grid = Study(str(path), "grid", evaluator="tabular", workspace=tmp_path / "w", name="again").run()
    assert grid.assembly.space.restriction.to_json() == found.space.restriction.to_json()
    assert grid.best.value == max(100 - m.error for m in found.steps[-1].members if m.error is not None) / 100
    assert names["X"].provenance["study"] == "cells" and len(names["X"].provenance["steps"]) == len(found.steps) - 1


def test_graphs_are_refined_by_training_them(tmp_path):
    study = Study(
        "ktg",
        "refine",
        name="graphs",
        workspace=tmp_path,
        max_budget=1,
        threads=1,
        options={
            "space": {
                "nodes": 2,
                "target": "resnet8",
                "models": ["resnet8", "wrn-10-1"],
                "gates": ["through", "cutoff"],
            },
            "dataset": {"limit": 60},
            "trainer": {"batch": 20, "pad": 1},
            "searcher": {"per_step": 8, "lower_limit": 8, "choose": "auc", "min_group": 2},
        },
    ).run()
    found = Refinement.of(study)
    assert [step.space.orbits() for step in found.steps] == [32, 16, 8][: len(found.steps)]
    assert found.status in ("done", "stopped") and found.steps[0].table.floor is not None
    rows = {row.number: row for row in study.record.trials()}
    assert rows[0].configuration["gate_label_1"] == "through" and rows[0].configuration["gate_2_1"] == "cutoff"
    assert rows[0].value == 2 * found.steps[0].table.floor
    report = study.then("refinement")
    assert report["study"] == "graphs" and report["files"] == []
