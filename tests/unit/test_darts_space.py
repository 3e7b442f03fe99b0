"""The search space of DARTS: how many cells, how they are drawn, and what they decode to."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from automl_core.errors import RequestError
from automl_core.options import validate
from automl_core.sampling import raw_draws
from automl_spaces.darts import DARTSSpace
from automl_spaces.genotype import OPERATIONS, Genotype
from automl_vision import TrainerSettings

CELL = (1 * 3 * 6 * 10) * 7**8


@pytest.fixture(scope="module")
def space():
    return DARTSSpace(cells=3, channels=4)


@pytest.fixture(scope="module")
def default(space):
    return dict(space.config_space.get_default_configuration())


def test_there_are_as_many_cells_as_published(space):
    assert CELL == 1_037_664_180
    assert space.size() == CELL**2
    assert DARTSSpace(none=True).size() == (180 * 8**8) ** 2


def test_inputs_and_operations_are_drawn_uniformly(space):
    genotypes = [space.genotype(one) for one in islice(raw_draws(space.config_space, seed=0), 4200)]
    pairs = Counter(tuple(source for _, source in one.reduction[3]) for one in genotypes)
    assert len(pairs) == 10 and all(low < high for low, high in pairs)
    assert all(abs(count - 420) < 100 for count in pairs.values())  # five standard deviations
    operations = Counter(one.normal[1][0][0] for one in genotypes)
    assert set(operations) == set(OPERATIONS) - {"none"}
    assert all(abs(count - 600) < 115 for count in operations.values())


def test_the_names_say_what_they_choose(space, default):
    chosen = default | {
        "normal_2_first": "sep_conv_5x5",
        "normal_4_inputs": "1+3",
        "normal_4_second": "dil_conv_3x3",
        "reduction_5_inputs": "0+4",
        "reduction_5_first": "avg_pool_3x3",
    }
    assert len(chosen) == 22
    genotype = space.genotype(chosen)
    assert genotype.normal[0][0] == ("sep_conv_5x5", 0)
    assert genotype.normal[2] == ((default["normal_4_first"], 1), ("dil_conv_3x3", 3))
    assert genotype.reduction[3] == (("avg_pool_3x3", 0), (default["reduction_5_second"], 4))


def test_a_configuration_decodes_to_supervised_training(default):
    space = DARTSSpace(cells=5, channels=6, auxiliary=0.3, path_dropout=0.1)
    network = space.decode(default)
    assert (network.cells, network.channels, network.auxiliary, network.path_dropout) == (5, 6, 0.3, 0.1)
    graph = network.recipe().graph
    (node,), (edge,) = graph.nodes, graph.edges
    assert node.model == "darts"
    assert Genotype.from_json(node.options) == space.genotype(default).canonical()
    rest = {name: value for name, value in node.options.items() if name not in ("normal", "reduction")}
    assert rest == {"cells": 5, "width": 6, "path_dropout": 0.1, "auxiliary": True}
    assert (edge.source, edge.destination, edge.loss_name, edge.options) == (0, 1, "cross-entropy", {"auxiliary": 0.3})


def test_without_weight_there_is_no_tower(default):
    graph = DARTSSpace(auxiliary=0.0).decode(default).recipe().graph
    assert graph.nodes[0].options["auxiliary"] is False and graph.edges[0].options == {}


def test_nodes_in_another_order_are_the_same_configuration(space, default):
    names = [f"normal_{node}_{what}" for node in (3, 4) for what in ("inputs", "first", "second")]
    low, high = ["0+1", "sep_conv_3x3", "skip_connect"], ["0+2", "max_pool_3x3", "dil_conv_5x5"]
    one = default | dict(zip(names, low + high, strict=True))
    same = default | dict(zip(names, high + low, strict=True))
    other = same | {"normal_4_inputs": "0+2"}
    for choices in (one, same, other):
        choices["normal_5_inputs"] = "0+1"
    assert space.canonical(one) == space.canonical(same) != space.canonical(other)
    assert space.decode(one) == space.decode(same) != space.decode(other)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"normal_3_first": "sep_conv_7x7"}, "sep_conv"),
        ({"normal_3_first": "none"}, "none"),
        ({"normal_3_inputs": "1+1"}, "1[+]2"),
        ({"normal_3_inputs": 1}, "normal_3_inputs"),
        ({"normal_2_inputs": "0+1"}, "normal_2"),
        ({"reduction_6_first": "skip_connect"}, "reduction_"),
    ],
)
def test_what_is_no_configuration_is_refused(changed, message, space, default):
    with pytest.raises(RequestError, match=message):
        space.decode(default | changed)
    with pytest.raises(RequestError):
        space.canonical(default | changed)


def test_a_missing_hyperparameter_is_named(space, default):
    rest = {name: value for name, value in default.items() if name != "reduction_4_second"}
    with pytest.raises(RequestError, match="reduction_4_second is missing"):
        space.decode(rest)


@pytest.mark.parametrize(
    "options", [{"cells": 2}, {"channels": 0}, {"auxiliary": -0.1}, {"auxiliary": float("inf")}, {"path_dropout": 1.0}]
)
def test_options_that_give_no_network_are_refused(options):
    with pytest.raises(RequestError, match=next(iter(options))):
        DARTSSpace(**options)


@pytest.mark.parametrize("name", ["quick", "paper"])
def test_presets_fit_space_and_trainer(name, space):
    preset = space.presets("supervised")[name]
    DARTSSpace(**validate(DARTSSpace, preset["space"], "space darts"))
    TrainerSettings(**validate(TrainerSettings, preset["trainer"], "trainer"))
    assert space.presets("tabular") == {}


def test_the_papers_preset_is_the_published_search(space):
    preset = space.presets("supervised")["paper"]
    assert preset["space"] == {"cells": 12, "channels": 32, "auxiliary": 0.4, "path_dropout": 0.2}
    assert (preset["min_budget"], preset["max_budget"]) == (1, 128)
    assert preset["dataset"] == {"name": "cifar10", "limit": 8000, "validation": 2000}
    assert preset["searcher"] == {"eta": 2}
    settings = TrainerSettings(**preset["trainer"])
    assert (settings.batch, settings.lr, settings.schedule) == (96, 0.025, "linear")
    assert (settings.momentum, settings.nesterov, settings.weight_decay) == (0.9, False, 3e-4)
    assert settings.cutout == 16
