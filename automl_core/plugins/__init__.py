"""Plugins: found by entry point, loaded one by one, listed without importing what they bring."""

from automl_core.plugins.registry import KINDS, Entry, Registry, get_registry, use_registry

__all__ = ["KINDS", "Entry", "Registry", "get_registry", "use_registry"]
