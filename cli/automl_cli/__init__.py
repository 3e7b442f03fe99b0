"""The command line: one module per command, thin over automl_core.

Importing this package, asking for help and listing plugins import nothing heavy; each command imports what it needs
when it runs.
"""

from __future__ import annotations


def main() -> None:
    """Runs ``automl`` and ends the process with its exit code."""
    from automl_cli.application import application

    application.main(prog_name="automl")
