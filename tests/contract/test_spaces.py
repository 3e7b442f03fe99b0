from automl_core.testing import SearchSpaceContract
from automl_spaces.ktg import KTGSpace


class TestKTGSpace(SearchSpaceContract):
    def make_space(self):
        return KTGSpace()
