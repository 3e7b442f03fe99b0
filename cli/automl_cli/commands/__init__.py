"""The built-in commands. Each module holds one, as ``command``, and imports nothing heavy at its top."""
