from automl_core.testing import SearchSpaceContract
from automl_spaces.kd_augment import KDAugmentSpace
from automl_spaces.kd_pruning import KDPruningSpace
from automl_spaces.published_kd import PAPER_AUGMENTATION, PAPER_PRUNING


def options(preset):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in preset["space"].items()}


class TestKDPruningSpace(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return KDPruningSpace()


class TestKDPruningSpaceOfThePublishedTables(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return KDPruningSpace(**options(PAPER_PRUNING))


class TestKDPruningSpaceOfManyWeightsAndRepeats(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return KDPruningSpace(
            methods=("l1-norm", "magnitude"),
            models=("resnet8", "vgg11", "densenet10"),
            ratios=("0.5", "0.4/0.7/0.9", "0.9/0.8/0.7/0.6"),
            remaining=(0.9, 0.5),
            alphas=(0.9, 0.5),
            temperatures=(4.0, 2.0),
            betas=(0.0, 500.0),
            repeats=3,
        )


class TestKDPruningSpaceWithoutDistillation(SearchSpaceContract):
    samples = 5

    def make_space(self):
        return KDPruningSpace(methods=("slimming",), types=("none",))


class TestKDAugmentSpace(SearchSpaceContract):
    samples = 10

    def make_space(self):
        return KDAugmentSpace()


class TestKDAugmentSpaceOfThePublishedTables(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return KDAugmentSpace(**options(PAPER_AUGMENTATION))


class TestKDAugmentSpaceOfAllAugmentationsAndRepeats(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return KDAugmentSpace(
            augmentations=("autoaugment", "randaugment", "cutout", "cutmix"),
            models=("resnet8", "pyramidnet-110-64"),
            alphas=(0.9, 0.5),
            repeats=2,
        )
