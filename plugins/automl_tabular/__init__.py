"""Known truth: tables of trained networks, formulas, and recorded studies, looked up in place of training."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register(
        "nas-bench-201",
        "automl_spaces.nas_bench_201:NASBench201Space",
        summary="cells of NAS-Bench-201: five operations on six edges",
    )
    register("hpobench", "automl_spaces.tables:HPOBenchSpace", summary="a fully connected classifier's five choices")
    register("hpolib", "automl_spaces.tables:HPOLibSpace", summary="a fully connected regressor's nine choices")
    register(
        "counting-ones",
        "automl_spaces.closed_forms:CountingOnesSpace",
        summary="counts ones, seen through as many samples as the budget",
    )
    register(
        "hartmann-6",
        "automl_spaces.closed_forms:HartmannSpace",
        summary="the Hartmann function of six numbers, blurred at small budgets",
    )


@hookimpl
def automl_evaluators(register: Register) -> None:
    register(
        "tabular",
        "automl_tabular.evaluator:TabularEvaluator",
        summary="looks results up in a table or a recorded study",
    )
    register(
        "closed-form",
        "automl_tabular.closed_form:ClosedFormEvaluator",
        summary="computes results by the space's formula",
    )
