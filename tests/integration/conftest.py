"""Makes the modules beside these tests importable by name, so that registered paths resolve."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
