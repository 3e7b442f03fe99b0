"""The command line: one module per command, thin over automl_core.

Importing this package, asking for help and listing plugins import nothing heavy; each command imports what it needs
when it runs.
"""

from __future__ import annotations


def main() -> None:
    """Runs ``automl`` and ends the process with its exit code."""
    try:
        from automl_cli.application import application

        application.main(prog_name="automl")
    except KeyboardInterrupt:  # before or after the command itself, which has an answer of its own
        raise SystemExit(130) from None
