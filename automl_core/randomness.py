"""Seeds that follow from names, so that nothing depends on what ran before.

Every random number in a study comes from a generator seeded by what it is for: (study seed, block of draws) in a
searcher, (study seed, canonical key) in an evaluation, (study seed, address) in an artefact.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable

from automl_core.types import Json

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def digest(*parts: Json | Hashable) -> str:
    """Hashes JSON values (tuples count as lists) to 32 hexadecimal digits, the same on every machine."""
    return hashlib.sha256(_encode(parts).encode()).hexdigest()[:32]


def derive_seed(*parts: Json | Hashable) -> int:
    """Derives a seed in [0, 2**63) from JSON values."""
    return int(digest(*parts)[:16], 16) >> 1
