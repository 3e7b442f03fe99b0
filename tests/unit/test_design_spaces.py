"""Design spaces in studies: as an option, over recorded studies, with instructions, and where they cannot be."""

from __future__ import annotations

import pytest

from automl_core import Job, RequestError, Searcher, Study, hookimpl
from automl_core.engine.refolding import Instructed, Refold, Script, Told
from automl_core.interfaces import Problem
from automl_core.plugins import Registry, use_registry
from automl_core.restricting import Condition, Restriction
from automl_core.testing.doubles import ToySpace
from automl_core.types import Objective, Outcome
from automl_spaces.cells import CellsDL
from automl_spaces.ktg import KTGSpace
from automl_tabular.recorded import RecordedSpace


class Parts:
    @hookimpl
    def automl_search_spaces(self, register):
        register("toy", "automl_core.testing.doubles:ToySpace", summary="digits")

    @hookimpl
    def automl_evaluators(self, register):
        register("toy", "automl_core.testing.doubles:ToyEvaluator", summary="noisy curves")
        register("tabular", "automl_tabular.evaluator:TabularEvaluator", summary="looks up")

    @hookimpl
    def automl_searchers(self, register):
        register("random", "automl_searchers.complete:RandomSearch", summary="draws")
        register("grid", "automl_searchers.complete:GridSearch", summary="takes all")


@pytest.fixture
def parts():
    registry = Registry(found=[])
    registry.add("parts", Parts())
    with use_registry(registry):
        yield


def narrowed(**values):
    return {"space": {"digits": 4, "restrict": {"fixed": values}}}


# -- what is told of a design space -----------------------------------------------------------------------------------


def test_conditions_are_on_what_still_has_a_choice():
    whole = KTGSpace()
    assert [condition.label for condition in whole.conditions()] == [
        "auxiliary node",
        "edge from label to auxiliary",
        "edge from label to target",
        "edge from auxiliary to target",
    ]
    design = whole.restrict(Restriction.fix(model_2="resnet32", gate_label_2="linear", gate_label_3="linear"))
    assert design.conditions() == [
        Condition("auxiliary node", ("model_3",)),
        Condition("edge from label to target", ("gate_label_1",)),
        Condition("edge from auxiliary to target", ("gate_2_1", "gate_3_1")),
    ]


def test_other_spaces_are_compared_by_hyperparameters_and_pairs():
    design = ToySpace(digits=3).restrict(Restriction.fix(digit_2=1))
    assert [condition.label for condition in design.conditions()] == ["digit_1", "digit_3", "digit_1 & digit_3"]


class PairedSpace(ToySpace):
    def symmetries(self):
        return [{"digit_1": "digit_2", "digit_2": "digit_1"}]


def test_what_can_change_places_is_compared_together():
    labels = [condition.label for condition in PairedSpace(digits=3).conditions()]
    assert labels == ["digit_1 & digit_2", "digit_3", "digit_1 & digit_2 & digit_3"]
    design = PairedSpace(digits=3).restrict(Restriction.fix(digit_2=1))
    assert design.symmetries() == []
    assert [condition.label for condition in design.conditions()] == ["digit_1", "digit_3", "digit_1 & digit_3"]


def test_the_reference_moves_into_the_design_space_where_it_means_the_same():
    whole = KTGSpace()
    taught_alone = whole.reference()
    same = whole.restrict(Restriction.fix(model_2="wrn-28-2")).reference()
    assert same is not None
    assert same["model_2"] == "wrn-28-2"
    assert same["gate_label_1"] == taught_alone["gate_label_1"] == "through"
    assert whole.restrict(Restriction.fix(gate_label_1="linear")).reference() is None


# -- studies ----------------------------------------------------------------------------------------------------------


def test_an_option_restricts_every_space(parts, tmp_path):
    options = narrowed(digit_1=2)
    study = Study("toy", "grid", max_budget=1, options=options, name="narrow", workspace=tmp_path).run()
    assert {trial.configuration["digit_1"] for trial in study.record.trials()} == {2}
    assert study.spec.space.options == options["space"]
    assert len(study.record.trials()) == 4**3
    again = Study.load("narrow", workspace=tmp_path)
    assert again.assembly.space.restriction.says_the_same(Restriction.fix(digit_1=2))


def test_a_recorded_study_is_looked_up_in_a_part_of_its_space(parts, tmp_path):
    wide = {"space": {"digits": 4}}
    Study("toy", "random", max_budget=2, trials=60, seed=1, options=wide, name="wide", workspace=tmp_path).run()
    options = {**narrowed(digit_1=2), "evaluator": {"study": "wide"}}
    looked_up = Study(
        "toy", "grid", evaluator="tabular", max_budget=2, options=options, name="part", workspace=tmp_path
    ).run()
    space = ToySpace(digits=4)
    recorded = [space.canonical(one.configuration) for one in Study.load("wide", workspace=tmp_path).record.trials()]
    found = [space.canonical(one.configuration) for one in looked_up.record.trials()]
    assert sorted(found) == sorted(key for key in recorded if 2 in key[:2]), "equals of what was recorded count, too"


def test_a_study_of_a_design_space_is_looked_up_in_the_whole(parts, tmp_path):
    Study("toy", "grid", max_budget=1, options=narrowed(digit_1=2, digit_2=1), name="part", workspace=tmp_path).run()
    options = {"space": {"digits": 4}, "evaluator": {"study": "part"}}
    study = Study("toy", "grid", evaluator="tabular", max_budget=1, options=options, workspace=tmp_path).run()
    assert len(study.record.trials()) == 16


def test_recorded_graphs_count_where_their_mirror_images_lie():
    space = KTGSpace(3, "resnet32", ("resnet32", "wrn-28-2"), ("through", "cutoff", "linear"))
    one = {**space.reference(), "gate_2_1": "linear", "gate_label_2": "through", "model_2": "wrn-28-2"}
    recorded = RecordedSpace(space, "wide", {space.canonical(one): one})
    mirrored = recorded.restrict(Restriction.fix(model_3="wrn-28-2", model_2="resnet32"))
    (found,) = mirrored.enumerate()
    assert found["gate_3_1"] == "linear"
    assert mirrored.size() == mirrored.orbits() == 1
    assert recorded.restrict(Restriction.fix(model_3="wrn-28-2", model_2="wrn-28-2")).size() == 1, (
        "one has no influence"
    )
    assert recorded.restrict(Restriction.fix(model_3="resnet32", model_2="resnet32")).size() == 0


@pytest.mark.parametrize("searcher", ["darts"])
def test_searchers_over_supernets_refuse_a_restricted_space(searcher, tmp_path):
    name = next(iter(CellsDL().config_space))
    value = CellsDL().config_space[name].default_value
    with pytest.raises(RequestError, match="must be given a whole space, but 'cells-dl' is restricted"):
        Study("cells-dl", searcher, options={"space": {"restrict": {"fixed": {name: value}}}}, workspace=tmp_path)


# -- a person's decisions ---------------------------------------------------------------------------------------------


class Asking(Searcher):
    """Takes one configuration, and then those of the digits that a person says."""

    multi_fidelity = False

    def start(self, problem):
        super().start(problem)
        self._said = [2]
        self._begun = 0

    def instruct(self, instruction):
        if not isinstance(instruction, dict) or "digit" not in instruction:
            raise RequestError(f"an instruction must give 'digit', but got {instruction!r}; write {{'digit': 1}}")
        self._said.append(instruction["digit"])

    def ask(self, next_trial):
        if self.finished():
            return None
        digit = self._said[self._begun]
        self._begun += 1
        names = list(self.problem.space.config_space)
        return Job(next_trial, dict.fromkeys(names, digit), 0, self.problem.max_budget)

    def tell(self, job, outcome):
        pass

    def finished(self):
        return self._begun == len(self._said)

    def may_continue(self, trial):
        return False


def kinds(study):
    return [kind for kind, _ in study.record.journal.events()]


def test_an_instruction_is_journalled_and_repeated_when_the_study_goes_on(parts, tmp_path):
    study = Study("toy", Asking(), max_budget=1, name="asked", workspace=tmp_path).run()
    assert kinds(study) == ["ask", "tell"]
    study.run(instruction={"digit": 1})
    assert kinds(study) == ["ask", "tell", "instruct", "ask", "tell"]
    again = Study.resume("asked", searcher=Asking(), instruction={"digit": 3}, workspace=tmp_path)
    assert kinds(again) == ["ask", "tell", "instruct", "ask", "tell", "instruct", "ask", "tell"]
    assert [trial.configuration["digit_1"] for trial in again.record.trials()] == [2, 1, 3]
    once_more = Study.resume("asked", searcher=Asking(), workspace=tmp_path)
    assert kinds(once_more) == kinds(again), "nothing was decided anew"


def test_an_instruction_that_means_nothing_leaves_nothing_in_the_journal(parts, tmp_path):
    study = Study("toy", Asking(), max_budget=1, name="asked", workspace=tmp_path).run(instruction={"digit": 1})
    before = kinds(study)
    with pytest.raises(RequestError, match="must give 'digit'"):
        study.run(instruction={"number": 1})
    assert kinds(study) == before
    assert Study.resume("asked", searcher=Asking(), workspace=tmp_path).status == "finished"


def test_searchers_that_decide_everything_refuse_instructions(parts, tmp_path):
    study = Study("toy", "random", max_budget=1, trials=2, name="alone", workspace=tmp_path).run()
    before = kinds(study)
    with pytest.raises(RequestError, match="decides everything of its own"):
        study.run(instruction={"digit": 1})
    assert kinds(study) == before
    with pytest.raises(RequestError, match="decides everything of its own"):
        Study("toy", "random", max_budget=1, trials=2, name="new", workspace=tmp_path).run(instruction={"digit": 1})
    assert [one for one in ("new",) if one in str(list(tmp_path.iterdir()))] == []


def test_a_search_done_once_more_is_told_the_same_instructions():
    problem = Problem(ToySpace(digits=2), (Objective("accuracy"),), 1, 1, None, 0)
    first, other = (Job(number, {"digit_1": digit, "digit_2": digit}, 0, 1) for number, digit in ((0, 2), (1, 3)))
    steps = [first, Told(first), Instructed({"digit": 3}, True), other, Told(other)]
    outcomes = {(job.trial, 1): Outcome("done", 1, values=(0.5,)) for job in (first, other)}
    searcher = Asking()
    searcher.start(problem)
    asked = Refold(searcher, Script(steps, [0, 1], outcomes, trials=2, finished=True), outcomes).run()
    assert asked == {(0, 0), (1, 0)}
    assert searcher.finished()
