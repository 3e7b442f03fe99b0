from automl_core.testing import SearchSpaceContract
from automl_spaces.darts import DARTSSpace


class TestDARTSSpace(SearchSpaceContract):
    def make_space(self):
        return DARTSSpace()


class TestDARTSSpaceWithNone(SearchSpaceContract):
    def make_space(self):
        return DARTSSpace(none=True, cells=3, channels=8)
