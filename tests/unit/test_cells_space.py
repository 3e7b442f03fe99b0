"""The spaces of cells over what morphisms reach, and what any space of cells can do."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_core.errors import RequestError
from automl_core.options import describe, validate
from automl_core.sampling import raw_draws
from automl_spaces.cells import CellNetwork, CellsDL, CellsDR, CellsUR
from automl_spaces.darts import DARTSSpace
from automl_spaces.genotype import DARTS_V1, DARTS_V2, Genotype
from automl_spaces.genotype_published import PR_DARTS_DL1, PR_DARTS_DL2, PR_DARTS_DR, PR_DARTS_UR
from automl_spaces.operations import START
from automl_spaces.recipe import DrawsItself, recipe_of
from automl_vision import GraphEvaluator, TrainerSettings

SPACES = [CellsDL, CellsDR, CellsUR, DARTSSpace]
PUBLISHED = [
    *((CellsDL, PR_DARTS_DL1), (CellsDL, PR_DARTS_DL2), (CellsDR, PR_DARTS_DR), (CellsUR, PR_DARTS_UR)),
    *((DARTSSpace, DARTS_V1), (DARTSSpace, DARTS_V2)),
]


@pytest.mark.parametrize(("kind", "operations"), [(CellsDL, 15), (CellsDR, 35), (CellsUR, 76)])
def test_there_are_as_many_cells_as_operations_make(kind, operations):
    space = kind()
    assert len(space.operations) == operations
    assert space.size() == (180 * operations**8) ** 2
    assert space.operation_set.operations == space.operations
    assert kind(steps=0).operations == START


def test_inputs_and_operations_are_drawn_uniformly():
    space = CellsDL()
    genotypes = [space.genotype(one) for one in islice(raw_draws(space.config_space, seed=0), 3000)]
    pairs = Counter(tuple(source for _, source in one.normal[2]) for one in genotypes)
    assert len(pairs) == 6 and all(abs(count - 500) < 105 for count in pairs.values())  # five standard deviations
    operations = Counter(name for one in genotypes for name, _ in (*one.normal[0], *one.reduction[3]))
    assert set(operations) == set(space.operations)
    assert all(abs(count - 800) < 137 for count in operations.values())


@pytest.mark.parametrize(("kind", "genotype"), PUBLISHED)
def test_published_cells_are_in_their_spaces(kind, genotype):
    space = kind(cells=20, channels=36)
    configuration = space.configuration(genotype)
    assert set(configuration) == set(space.config_space)
    found = space.decode(configuration)
    assert (found.normal, found.reduction) == (genotype.canonical().normal, genotype.canonical().reduction)


@given(st.sampled_from([CellsDL(), CellsDR(), CellsUR(steps=2), DARTSSpace(none=True)]), st.integers(0, 2**32 - 1))
def test_a_genotype_leads_back_to_its_configuration(space, seed):
    (configuration,) = islice(raw_draws(space.config_space, seed=seed), 1)
    genotype = space.genotype(configuration)
    assert space.configuration(genotype) == configuration
    swapped = Genotype(tuple((second, first) for first, second in genotype.normal), genotype.reduction)
    assert space.configuration(swapped) == configuration
    assert space.canonical(space.configuration(space.decode(configuration))) == space.canonical(configuration)


def test_a_genotype_outside_of_the_space_is_refused():
    with pytest.raises(RequestError, match="unknown value of normal_2_first 'conv_3x3_e2'"):
        CellsDL().configuration(PR_DARTS_UR)
    twice = ((("skip_connect", 1), ("skip_connect", 1)), *PR_DARTS_DL1.reduction[1:])
    with pytest.raises(RequestError, match="node 2 of the reduction cell takes 1 twice"):
        CellsDL().configuration(Genotype(PR_DARTS_DL1.normal, twice))


def test_sizes_may_change_between_search_and_retraining():
    configuration = CellsDL().configuration(PR_DARTS_DL1)
    small, large = CellsDL(cells=3, channels=4), CellsDL(cells=20, channels=36, auxiliary=0.0, max_skips=0)
    assert small.canonical(configuration) == large.canonical(configuration)
    found = large.decode(configuration)
    assert (found.cells, found.channels, found.auxiliary, found.path_dropout) == (20, 36, 0.0, 0.2)
    assert found.normal == small.decode(configuration).normal


def test_a_network_is_json_both_ways_and_says_how_it_is_trained():
    network = CellsDL(cells=5, channels=6, auxiliary=0.3).decode(CellsDL().configuration(PR_DARTS_DL2))
    assert CellNetwork.from_json(json.loads(json.dumps(network.to_json()))) == network
    assert Genotype.from_json(network.to_json()) == Genotype(network.normal, network.reduction)
    assert type(network.canonical()) is CellNetwork and network.canonical() == network
    (node,) = recipe_of(network).graph.nodes
    assert node.model == "darts" and (node.options["cells"], node.options["width"]) == (5, 6)
    assert node.options["auxiliary"] is True


def test_the_evaluator_draws_what_draws_itself():
    network = CellsDL().decode(CellsDL().configuration(PR_DARTS_DL2))
    assert isinstance(network, DrawsItself) and not isinstance(network.recipe(), DrawsItself)
    evaluator = GraphEvaluator()
    assert evaluator.draw(network, {}) == network.draw() and evaluator.picture(network, {}) == network.picture()
    assert evaluator.draw(network.recipe(), {}) is None is evaluator.picture(network.recipe(), {})


@pytest.mark.parametrize("kind", SPACES)
def test_skip_connections_of_the_normal_cell_can_be_bounded(kind):
    genotype = Genotype(DARTS_V2.reduction, DARTS_V2.reduction)  # three skip connections in each cell
    configuration = DARTSSpace().configuration(genotype)
    assert kind().violation(configuration) is None
    assert kind(max_skips=3).violation(configuration) is None
    assert "3 skip connections, and max_skips allows 2" in kind(max_skips=2).violation(configuration)
    most = Genotype(((("skip_connect", 0), ("skip_connect", 1)),) * 4, genotype.reduction)
    assert kind(max_skips=8).violation(kind().configuration(most)) is None
    assert "8 skip" in kind(max_skips=7).violation(kind().configuration(most))
    assert kind(max_skips=2).decode(configuration)  # how a network is built does not depend on what was searched


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize(
    "options",
    [{"max_skips": -1}, {"max_skips": 9}, {"cells": 2}, {"channels": 0}, {"path_dropout": 1.0}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_give_no_network_are_refused(kind, options):
    with pytest.raises(RequestError, match=next(iter(options))):
        kind(**options)


def test_steps_out_of_range_are_refused():
    with pytest.raises(RequestError, match=r"set space.steps"):
        CellsUR(steps=-1)


@pytest.mark.parametrize("kind", SPACES)
def test_options_are_described(kind):
    described = {option.name: option for option in describe(kind)}
    own = "none" if kind is DARTSSpace else "steps"
    assert list(described) == [own, "cells", "channels", "auxiliary", "path_dropout", "max_skips"]
    assert all(option.meaning for option in described.values())
    assert validate(kind, {"max_skips": None}, "space") == {"max_skips": None}


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("name", ["quick", "paper"])
def test_presets_fit_space_and_trainer(kind, name):
    preset = kind().presets("supervised")[name]
    for part in (preset, preset.get("retrain", preset)):
        kind(**validate(kind, part["space"], "space"))
        TrainerSettings(**validate(TrainerSettings, part["trainer"], "trainer"))
    assert kind().presets("tabular") == {}


def test_retraining_is_as_published():
    morphisms, darts = (kind().presets("supervised")["paper"]["retrain"] for kind in (CellsUR, DARTSSpace))
    for one, path_dropout in ((morphisms, 0.3), (darts, 0.2)):
        assert (one["max_budget"], one["repeats"], one["average"]) == (600, 3, 5)
        assert one["space"] == {"cells": 20, "channels": 36, "auxiliary": 0.4, "path_dropout": path_dropout}
        settings = TrainerSettings(**one["trainer"])
        assert (settings.lr, settings.momentum, settings.nesterov, settings.weight_decay) == (0.025, 0.9, False, 3e-4)
        assert (settings.schedule, settings.clip, settings.pad, settings.cutout) == ("cosine", 5.0, 4, 16)
        assert settings.padding == "zeros" and not settings.drop_last
    assert [one["trainer"]["batch"] for one in (morphisms, darts)] == [32, 96]
    assert morphisms["trainer"]["largest_batch"] == 128 and "largest_batch" not in darts["trainer"]
