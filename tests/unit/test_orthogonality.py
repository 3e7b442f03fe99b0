"""The surplus against every published row, its interval, and how tables look."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from click import unstyle

from automl_core.types import Value
from automl_kd_pruning.measured import Cell, Measured, Results
from automl_kd_pruning.orthogonality import Orthogonality, augmentation_rows, gains, pruning_rows
from automl_kd_pruning.surplus import Surplus, bootstrap, surplus
from automl_kd_pruning.tables import cell_text, text
from automl_spaces.graph import Node
from automl_spaces.kd_augment import KDAugmentSpace
from automl_spaces.trainings import Distillation, Phase, Pruning, pruned

# Park et al., tables 1 to 3, accuracies in percent: network and what remains; unpruned and fine-tuned from scratch; for
# labels and for features: unpruned, self-distilled, surplus.
PUBLISHED = [
    ("resnet56 40/70/90", 71.23, 70.06, (73.76, 73.30, 0.71), (73.60, 72.81, 0.38)),
    ("resnet56 50/60/70", 71.23, 68.55, (73.76, 72.58, 1.50), (73.60, 71.81, 0.89)),
    ("resnet110 80/80/80", 72.76, 71.71, (74.82, 74.40, 0.63), (74.98, 74.47, 0.54)),
    ("resnet110 50/60/70", 72.76, 70.60, (74.82, 73.97, 1.31), (74.98, 73.71, 0.89)),
    ("vgg19 50", 72.03, 72.30, (73.84, 73.91, -0.20), (73.89, 74.21, 0.05)),
    ("preresnet56 50", 73.07, 72.45, (74.52, 74.78, 0.88), (74.63, 74.54, 0.53)),
    ("densenet40 30", 73.14, 72.30, (74.96, 74.31, 0.19), (74.19, 74.43, 1.08)),
    ("preresnet110 40", 72.82, 72.02, (75.01, 74.85, 0.64), (74.41, 74.20, 0.59)),
]

SEED = (0, 0)
NETWORK = Node("resnet8")
PRUNING = Pruning("l1-norm", (0.4, 0.7, 0.9))


@pytest.mark.parametrize("row", PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_every_published_surplus_comes_out(row: tuple) -> None:  # type: ignore[type-arg]
    _, unpruned_scratch, tuned, *kinds = row
    for unpruned, both, published in kinds:
        assert surplus(unpruned_scratch, unpruned, tuned, both) == pytest.approx(published, abs=0.005)
        cells = [Cell({SEED: value / 100}) for value in (unpruned_scratch, unpruned, tuned, both)]
        found = Surplus.of(*cells)
        assert found is not None
        assert 100 * found.mean == pytest.approx(published, abs=0.005)
        assert found.interval is None


def test_terms_are_compared_seed_by_seed() -> None:
    """Each seed is easier than the one before by the same amount in all terms: nothing of it is left in a surplus."""
    easier = {(0, repeat): 0.1 * repeat for repeat in range(4)}
    terms = [Cell({seed: base + more for seed, more in easier.items()}) for base in (0.40, 0.44, 0.38, 0.43)]
    found = Surplus.of(*terms)
    assert found is not None
    assert found.mean == pytest.approx(0.01)
    assert found.interval == pytest.approx((0.01, 0.01))
    lacking = Surplus.of(*terms[:3], Cell({(0, 2): 0.63, (9, 9): 0.1}))
    assert lacking is not None
    assert list(lacking.values) == [(0, 2)]
    assert lacking.interval is None
    assert Surplus.of(*terms[:3], Cell()) is None


def test_the_interval_is_that_of_resampled_means() -> None:
    values = [0.0, 0.01, 0.02, 0.05]
    low, high = bootstrap(values)
    assert bootstrap(values) == (low, high)
    assert min(values) <= low < statistics.fmean(values) < high <= max(values)
    # Of two seeds a quarter of the means are the lower one, and a quarter the higher one.
    assert bootstrap([0.1, 0.3]) == pytest.approx((0.1, 0.3))
    assert bootstrap([0.2] * 5) == pytest.approx((0.2, 0.2))


def measured(kind: str, phase: Phase, accuracy: float, seed: tuple[int, int] = SEED, **numbers: float) -> Measured:
    metrics = {"accuracy": accuracy, "params_before": 1000.0, "params": 640.0, "latency_before": 2e-3, "latency": 1e-3}
    distillation = Distillation(kind, **numbers)  # type: ignore[arg-type]
    return Measured(pruned(NETWORK, PRUNING, distillation, phase), seed, metrics)


def test_phases_stand_in_their_columns_and_teachers_beside_them() -> None:
    alone = measured("none", "none", 0.60)
    accuracies: dict[Phase, float] = {"pre": 0.61, "post": 0.62, "pre-post": 0.63, "self": 0.64}
    label = [measured("label", phase, accuracy) for phase, accuracy in accuracies.items()]
    taught, scratch = label[-1].training.origin, alone.training.origin
    assert taught is not None
    assert scratch is not None
    support = [Measured(scratch, SEED, {"accuracy": 0.70}), Measured(taught, SEED, {"accuracy": 0.72})]
    first, second = pruning_rows(Results([*label, alone], support))
    assert [cell.mean for cell in first.cells] == [0.70, 0.60, None, None, None]
    assert (first.kind, first.surplus) == ("none", None)
    assert [cell.mean for cell in second.cells] == [0.72, 0.61, 0.62, 0.63, 0.64]
    assert (second.kind, second.numbers) == ("label", {"alpha": 0.9, "temperature": 4.0})
    assert second.surplus is not None
    assert second.surplus.mean == pytest.approx((0.64 - 0.60) - (0.72 - 0.70))


def test_other_weights_are_other_rows() -> None:
    runs = [
        measured("label", "pre", 0.5),
        measured("label", "pre", 0.6, alpha=0.5),
        measured("feature", "pre", 0.7, beta=50.0),
    ]
    rows = pruning_rows(Results(runs, []))
    assert [(row.kind, *row.numbers.values()) for row in rows] == [
        ("none",),
        ("label", 0.5, 4.0),
        ("label", 0.9, 4.0),
        ("feature", 50.0),
    ]
    printed = text(Orthogonality(("s",), "digits", 1, "epochs", {}, tuple(rows), (), tuple(gains(runs)), {}))
    assert "label 0.5 4" in printed
    assert "feature 50" not in printed
    told = [" ".join(line.split()) for line in unstyle(printed).splitlines()]
    assert any(line.startswith("latency ") and line.endswith(" 2 ms 1 ms 50 %") for line in told)
    assert "latency is that of a single image, which is noisy for small networks" in printed
    assert told.count("resnet8, l1-norm, 40/70/90 % remain") == 2, "once above its table and once above its gains"
    assert "budget of candidates: 1 epoch." in told[3]


def test_a_candidates_own_result_goes_before_that_of_support() -> None:
    own, other = measured("none", "none", 0.6), measured("none", "none", 0.5)
    assert pruning_rows(Results([own], [other]))[0].tuned.mean == 0.6
    assert pruning_rows(Results([], [other]))[0].tuned.mean == 0.5


def test_tables_of_augmentation_share_what_is_not_augmented() -> None:
    space = KDAugmentSpace(augmentations=("cutmix", "cutout"))
    label = {"model": "resnet8", "type": "label", "alpha": 0.9, "temperature": 4.0}
    none = {"model": "resnet8", "type": "none"}
    runs = {
        0.50: {**none, "augmentation": "cutmix", "student": False},
        0.51: {**none, "augmentation": "cutmix", "student": True},
        0.60: {**label, "augmentation": "cutmix", "teacher": False, "student": False},
        0.61: {**label, "augmentation": "cutmix", "teacher": False, "student": True},
        0.62: {**label, "augmentation": "cutmix", "teacher": True, "student": False},
        0.63: {**label, "augmentation": "cutout", "teacher": True, "student": True},
    }
    results = Results([Measured(space.decode(one), SEED, {"accuracy": value}) for value, one in runs.items()], [])
    rows = {(tuple(row.augmentation), row.kind): row for row in augmentation_rows(results)}
    means = {key: [cell.mean for cell in row.cells.values()] for key, row in rows.items()}
    assert means == {
        (("cutmix",), "none"): [0.50, 0.51],
        (("cutmix",), "label"): [0.60, 0.61, 0.62, None],
        (("cutout",), "none"): [0.50, None],
        (("cutout",), "label"): [0.60, None, None, 0.63],
    }
    printed = text(Orthogonality(("s",), "digits", 4, "epochs", {}, (), tuple(rows.values()), (), {}))
    assert "resnet8, cutmix 0.5" in printed
    assert max(map(len, unstyle(printed).splitlines())) <= 80


def augmented(space: KDAugmentSpace, accuracy: float, **chosen: Value) -> Measured:
    training = space.decode({"model": "resnet8", "type": "none", **chosen})
    return Measured(replace(training, repeat=0), (0, training.repeat), {"accuracy": accuracy})


def test_switches_are_read_beside_what_the_studies_trainer_has_anyway() -> None:
    own = {"cutmix": 1.0, "cutout": 2, "augmentations": 0, "magnitude": 5, "lr": 0.1}
    mixing, cutting = KDAugmentSpace(("cutmix",)), KDAugmentSpace(("randaugment", "cutout"))
    runs = [
        augmented(mixing, 0.5, augmentation="cutmix", student=False),
        augmented(mixing, 0.6, augmentation="cutmix", student=True),
        augmented(cutting, 0.7, augmentation="cutout", student=False),
        augmented(cutting, 0.8, augmentation="randaugment", student=True),
    ]
    rows = augmentation_rows(Results(runs, []), own)
    assert [(row.augmentation, row.beside, [cell.mean for cell in row.cells.values()]) for row in rows] == [
        ({"augmentations": 2, "magnitude": 9}, {"cutmix": 1.0}, [0.7, 0.8]),
        ({"cutmix": 0.5}, {"cutout": 2}, [0.5, 0.6]),
    ]
    printed = text(Orthogonality(("s",), "digits", 4, "epochs", {"cutmix": 1.0}, (), tuple(rows), (), {}))
    assert "Augmentation of all trainings, by the studies' own trainer: cutmix 1." in printed
    lines = unstyle(printed).splitlines()
    assert {"resnet8, augmentations 2, magnitude 9", "resnet8, cutmix 0.5 (all with cutout 2)"} <= set(lines)


def test_repetitions_with_policies_of_their_own_are_one_row() -> None:
    space = KDAugmentSpace(("autoaugment",), repeats=2)
    runs = [
        augmented(space, 0.5 + 0.1 * repeat, augmentation="autoaugment", student=True, repeat=repeat)
        for repeat in range(2)
    ]
    (row,) = augmentation_rows(Results(runs, []))
    assert row.augmentation == {"auto_augment": "random"}
    assert row.cells[False, True].values == {(0, 0): 0.5, (0, 1): 0.6}


def test_tables_keep_to_the_width_and_tell_how_many_seeds_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [(0, repeat) for repeat in range(3)]
    runs = [measured("label", phase, 0.2 + 0.3 * seed[1], seed) for phase in ("pre", "post", "self") for seed in seeds]
    runs += [measured("label", "pre-post", 0.5), measured("label", "pre-post", 0.9, (0, 1))]
    found = Orthogonality(
        ("s" * 30, "t" * 30), "digits", 4, "epochs", {}, tuple(pruning_rows(Results(runs, []))), (), (), {}
    )
    for columns, cell in ((80, "50.00±30.00"), (72, "50.0±30.0"), (62, "50±30")):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = unstyle(text(found)).splitlines()
        assert max(map(len, lines)) <= columns
        (row,) = [line.split() for line in lines if line.startswith("  label ")]
        assert row[:2] == ["label", "2-3"] and cell in row


def test_accuracies_are_written_in_percent_with_their_deviation_where_there_is_one() -> None:
    assert cell_text(Cell({SEED: 0.7123})) == "71.23"
    assert cell_text(Cell({SEED: 0.70, (0, 1): 0.72})) == "71.00±1.41"
    assert cell_text(Cell()) == "-"
