"""The options that every command has, built-in or from a plugin: declared and attached here alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass
class Settings:
    """What the shared options say; a command gets it with ``@click.pass_obj``.

    Args:
        workspace: Directory of studies; None leaves it to ``AUTOML_WORKSPACE`` or ``./automl-workspace``.
        json: Print one JSON document in place of text.
        quiet: No progress and no warnings.
        verbose: Progress job by job, log messages, and tracebacks of errors.
        disabled: Plugins switched off by ``--disable-plugin``.
    """

    workspace: Path | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    disabled: tuple[str, ...] = ()

    @property
    def log_level(self) -> int:
        return logging.ERROR if self.quiet else logging.INFO if self.verbose else logging.WARNING


def attach(command: click.Command) -> click.Command:
    """Adds the shared options that a command does not have already; attaching twice changes nothing."""
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params.extend(option for option in _shared_options() if not taken & set(option.opts))
    return command


def disable_plugin_option() -> click.Option:
    """Builds ``--disable-plugin``; eager, so that the registry is right before anything else asks for it."""
    return click.Option(
        ["--disable-plugin"],
        multiple=True,
        metavar="NAME",
        is_eager=True,
        expose_value=False,
        callback=_disable_plugins,
        help="Leave a plugin out; may be repeated.",
    )


def _shared_options() -> list[click.Option]:
    return [
        click.Option(
            ["--workspace"],
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=_keep,
            help="Where studies are kept.  [default: $AUTOML_WORKSPACE or ./automl-workspace]",
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_keep, help="Print one JSON document, not text."
        ),
        click.Option(
            ["--quiet"], is_flag=True, expose_value=False, callback=_keep, help="Show no progress and no warnings."
        ),
        click.Option(
            ["--verbose"], is_flag=True, expose_value=False, callback=_keep, help="Show every job, logs, tracebacks."
        ),
        disable_plugin_option(),
    ]


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Moves a shared option's value into the settings."""
    settings = context.ensure_object(Settings)
    assert parameter.name is not None
    if value:
        setattr(settings, parameter.name, value)
    if settings.quiet and settings.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other; give one of them", context)
    logging.getLogger().setLevel(settings.log_level)


def _disable_plugins(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """Puts a registry without these plugins in place for as long as the command runs."""
    if not value:
        return
    from automl_core.plugins import Registry, use_registry

    settings = context.ensure_object(Settings)
    settings.disabled = (*settings.disabled, *value)
    context.with_resource(use_registry(Registry(disabled=settings.disabled)))
