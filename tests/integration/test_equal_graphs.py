"""Configurations with equal canonical forms train their targets to bit-equal weights, on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from automl_core import Context, Job
from automl_core.plugins import get_registry
from automl_core.randomness import derive_seed
from automl_spaces.ktg import KTGSpace
from automl_vision.evaluator import GraphEvaluator
from automl_vision.trainer import TrainerSettings

SPACE = KTGSpace(target="resnet8", models=("resnet8", "wrn-10-1"))
ALL_CUT = {f"gate_{source}_{d}": "cutoff" for d in (1, 2, 3) for source in ("label", 1, 2, 3) if source != d}
BASE = ALL_CUT | {"model_2": "resnet8", "model_3": "wrn-10-1"}

MUTUAL = BASE | {
    "gate_label_1": "linear",
    "gate_2_1": "through",
    "gate_3_1": "correct",
    "gate_label_2": "through",
    "gate_3_2": "linear",
    "gate_label_3": "correct",
    "gate_1_3": "through",
}
TAUGHT = BASE | {"gate_label_1": "through", "gate_3_1": "linear"}
DEAD = BASE | {"gate_label_1": "through", "gate_2_1": "correct", "gate_label_2": "through", "gate_1_2": "through"}


def swapped(configuration: dict[str, str]) -> dict[str, str]:
    """Exchanges the auxiliary nodes 2 and 3."""
    return {name.translate(str.maketrans("23", "32")): value for name, value in configuration.items()}


PAIRS = {
    "auxiliaries swapped": (MUTUAL, swapped(MUTUAL)),
    "correct on a label edge": (MUTUAL, MUTUAL | {"gate_label_2": "correct", "gate_label_3": "through"}),
    "a node without a path to the target": (
        DEAD,
        DEAD | {"model_3": "resnet8", "gate_label_3": "linear", "gate_1_3": "through", "gate_2_3": "correct"},
    ),
    "the other node is the dead one": (DEAD, swapped(DEAD) | {"model_2": "wrn-10-1", "gate_label_2": "through"}),
    "a frozen teacher swapped": (TAUGHT, swapped(TAUGHT)),
}


def weights(configuration: dict[str, str], directory: Path, epochs: int = 2) -> dict[str, Tensor]:
    """Trains as the engine does: seeded by the canonical key, teachers by what they are."""
    dataset = get_registry().create("dataset", "digits", {"limit": 60})
    dataset.load()
    evaluator = GraphEvaluator(TrainerSettings(batch=20, pad=1))
    graph = SPACE.decode(configuration)
    artefacts = []
    for request in evaluator.requires(graph, epochs, "search"):
        context = Context(seed=derive_seed(request.description.to_json()), max_budget=epochs, dataset=dataset)
        artefacts.append(directory / f"teacher-{len(artefacts)}")
        artefacts[-1].mkdir(parents=True)
        _trained(evaluator, request.description, context, epochs).export(artefacts[-1])
    context = Context(derive_seed(0, SPACE.canonical(configuration)), epochs, "search", dataset, tuple(artefacts))
    return dict(_trained(evaluator, graph, context, epochs).target.state_dict())


def _trained(evaluator: GraphEvaluator, graph: Any, context: Context, epochs: int) -> Any:
    evaluation = evaluator.start(graph, context)
    assert len(list(evaluation.advance(Job(0, {}, 0, epochs)))) == epochs + 1
    return evaluation


@pytest.mark.parametrize("pair", PAIRS)
def test_equal_canonical_forms_give_bit_equal_target_weights(pair: str, tmp_path: Path) -> None:
    first, second = PAIRS[pair]
    assert first != second
    assert SPACE.canonical(first) == SPACE.canonical(second)
    one, other = weights(first, tmp_path / "one"), weights(second, tmp_path / "other")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_canonical_forms_give_other_weights(tmp_path: Path) -> None:
    assert SPACE.canonical(MUTUAL) != SPACE.canonical(DEAD)
    one, other = weights(MUTUAL, tmp_path / "one", 1), weights(DEAD, tmp_path / "other", 1)
    assert not all(torch.equal(one[name], other[name]) for name in one)
