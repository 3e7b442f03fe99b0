"""Search spaces as data: ConfigSpace plus a decoder; no torch."""
