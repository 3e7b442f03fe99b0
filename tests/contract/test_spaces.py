from itertools import islice

from automl_core.testing import SearchSpaceContract
from automl_core.testing.doubles import ToySpace
from automl_spaces.closed_forms import CountingOnesSpace, HartmannSpace
from automl_spaces.ktg import KTGSpace
from automl_spaces.nas_bench_201 import NASBench201Space
from automl_spaces.resnet_scaling import ResNetScalingSpace
from automl_spaces.tables import HPOBenchSpace, HPOLibSpace
from automl_tabular.recorded import RecordedSpace


class TestKTGSpace(SearchSpaceContract):
    def make_space(self):
        return KTGSpace()


class TestNASBench201Space(SearchSpaceContract):
    def make_space(self):
        return NASBench201Space()


class TestNASBench201SpaceOfSmallNetworks(SearchSpaceContract):
    def make_space(self):
        return NASBench201Space(cells=1, channels=8)


class TestResNetScalingSpace(SearchSpaceContract):
    """Eleven thousand of eight million configurations."""

    samples = 20

    def make_space(self):
        return ResNetScalingSpace(limit=2.0)


class TestHPOBenchSpace(SearchSpaceContract):
    def make_space(self):
        return HPOBenchSpace()


class TestHPOLibSpace(SearchSpaceContract):
    def make_space(self):
        return HPOLibSpace()


class TestCountingOnesSpace(SearchSpaceContract):
    def make_space(self):
        return CountingOnesSpace(categorical=3, continuous=2)


class TestCountingOnesSpaceOfCategoriesAlone(SearchSpaceContract):
    samples = 8

    def make_space(self):
        return CountingOnesSpace(categorical=3, continuous=0)


class TestHartmannSpace(SearchSpaceContract):
    def make_space(self):
        return HartmannSpace()


class TestRecordedSpace(SearchSpaceContract):
    """Forty of four million configurations."""

    def make_space(self):
        space = ToySpace()
        recorded = {space.canonical(one): one for one in islice(space.enumerate(3), 40)}
        return RecordedSpace(space, "recorded", recorded)
