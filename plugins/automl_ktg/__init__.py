"""Knowledge-transfer graphs: their search space, gates, evaluator and drawings."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register("ktg", "automl_spaces.ktg:KTGSpace", summary="which networks teach one another, through which gates")


@hookimpl
def automl_gates(register: Register) -> None:
    register("through", "automl_spaces.gates:Through", summary="all of the loss")
    register("cutoff", "automl_spaces.gates:Cutoff", summary="nothing: the edge does not exist")
    register("linear", "automl_spaces.gates:Linear", summary="rises from 0 to all over the training")
    register("correct", "automl_spaces.gates:Correct", summary="the samples that the source gets right")
    register("negative-linear", "automl_spaces.gates:NegativeLinear", summary="falls from all to 0 over the training")


@hookimpl
def automl_evaluators(register: Register) -> None:
    register("ktg", "automl_ktg.evaluator:KTGEvaluator", summary="trains knowledge-transfer graphs of a search")
