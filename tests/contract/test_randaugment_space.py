from automl_core.testing import SearchSpaceContract
from automl_spaces.randaugment import RandAugmentSpace


class TestRandAugmentSpace(SearchSpaceContract):
    def make_space(self):
        return RandAugmentSpace(model="vgg16")


class TestRandAugmentSpaceOfMagnitudesAlone(SearchSpaceContract):
    samples = 20

    def make_space(self):
        return RandAugmentSpace(max_augmentations=1)
