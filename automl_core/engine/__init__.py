"""The engine's moving parts: the fold, the loop, the worker and the serial executor."""
