"""Everything that the documentation tells people to run is run, in an environment with the project's wheel.

A document's fenced blocks are taken in order, in one directory: a block whose info string has ``file=PATH`` is written
there, a ``console`` block's lines after ``$`` are run by the shell, a ``python`` block is run as a script; all must
end with exit code 0. Searches run at reduced scale: see ``REDUCED``. A block after ``<!-- not run: REASON -->`` is left
out, and how many of those there are is asserted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

if TYPE_CHECKING:
    from tests.conftest import ScratchEnvironment

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NOT_RUN = {"README.md": 4, "clusters.md": 3}
NOT_RUN |= dict.fromkeys(("architecture.md", "cli.md", "estimators.md", "kd-pruning.md", "known-truth.md"), 0)
NOT_RUN |= dict.fromkeys(("analysis.md", "ktg.md", "plugins.md", "pr-darts.md", "searchers.md", "spaces.md"), 0)
NOT_RUN |= {"refinement.md": 0}
"""How many blocks of each document are marked as not run."""

SHOWN = {"toml", "yaml", "text", "json", "mermaid"}
"""Languages of blocks that are not run; with ``file=PATH`` they are written."""

SMALL = "--trials 2 --max-budget 2 --threads 1 --set dataset.limit=60"
SUPERNET = (
    "--trials 1 --max-budget 1 --threads 1 --set dataset.limit=60 --set space.channels=2 --set searcher.channels=2 "
    "--set searcher.cells=3"
)
REDUCED = {
    "cells-dl --searcher pr-darts": f"{SUPERNET} --set 'searcher.cycle_epochs={[1] * 9}' "
    f"--set 'searcher.cycle_grace={[0] * 9}'",
    "cells-dl --searcher darts": f"{SUPERNET} --set searcher.epochs=1 --set searcher.grace=0",
    "cells-dl": f"{SMALL} --set space.channels=2",
    "kd-pruning": f"{SMALL} --set evaluator.epochs=1 --set 'space.models=[resnet8]'",
    "kd-augment": SMALL,
    "ktg --choose auc": f"{SMALL} --set space.target=resnet8 --set 'space.models=[resnet8]'",
    "ktg": f"{SMALL} --set space.nodes=2 --set space.target=resnet8 --set 'space.models=[resnet8]'",
    "nas-bench-201 --evaluator supervised": SMALL,
    "darts": f"{SMALL} --set space.channels=2",
    "randaugment": f"{SMALL} --set space.model=resnet8",
    "resnet-scaling": SMALL,
}
"""What ``automl run`` and ``refine`` are given besides for spaces that are trained, so that it takes seconds; the first
that fits.
"""

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, the file it is to be written to, and why it is not run."""

    place: str
    language: str
    file: str
    body: str
    reason: str

    def commands(self) -> list[str]:
        """The commands of a ``console`` block; a line that ends with a backslash goes on in the next."""
        joined = self.body.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text()
    for match in BLOCK.finditer(text):
        language, _, rest = match["info"].partition(" ")
        place = f"{document.name}:{text.count(chr(10), 0, match.start()) + 1}"
        yield Block(place, language, rest.removeprefix("file="), match["body"], match["reason"] or "")


def reduced(command: str) -> str:
    for space, flags in REDUCED.items():
        if re.match(rf"automl (run|refine) .*--space {space}\b", command):
            halving = " --set searcher.eta=2" if "--searcher hyperband" in command else ""
            return f"{command} {flags}{halving}"
    return command


@pytest.fixture(scope="module")
def shell(scratch: ScratchEnvironment) -> dict[str, str]:
    """Environment variables of a reader's shell, in which pip takes from this machine alone."""
    pip = scratch.directory / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{scratch.python}" "$@"\n')
    pip.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AUTOML_", "VIRTUAL"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
    return kept | offline | {"PATH": f"{scratch.directory / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_everything_in_it_runs(document: Path, shell: dict[str, str], tmp_path: Path) -> None:
    for block in blocks(document):
        if block.reason:
            continue
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body)
        elif block.language == "python":
            script = tmp_path / "block.py"
            script.write_text(block.body)
            run(["python", script.name], block.place, shell, tmp_path)
        elif block.language == "console":
            for command in block.commands():
                run(["bash", "-euc", reduced(command)], f"{block.place}: {command}", shell, tmp_path)


def run(command: list[str], place: str, shell: dict[str, str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, env=shell, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{place}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_run_written_or_of_a_kind_that_is_only_shown(document: Path) -> None:
    text = document.read_text()
    assert len(list(blocks(document))) * 2 == len(re.findall(r"^\s*```", text, re.MULTILINE)), "a block is malformed"
    for block in blocks(document):
        assert block.language in {"console", "python"} | SHOWN, f"{block.place}: {block.language!r} is never run"
        if block.language == "console" and not block.reason:
            assert block.commands(), f"{block.place}: no line begins with '$ '"


def test_what_is_not_run_is_counted() -> None:
    marked = {document.name: sum(bool(block.reason) for block in blocks(document)) for document in DOCUMENTS}
    assert marked == NOT_RUN


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_paths_and_links_into_the_repository_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    named = re.findall(r"`((?:automl_core|spaces|plugins|cli|tests|docs|examples|benchmarks)/[\w./-]*)`", text)
    linked = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in linked if not (document.parent / path).exists()]
    assert missing == []


def test_the_command_line_is_documented_flag_by_flag() -> None:
    from automl_cli.application import COMMANDS, application

    text = (ROOT / "docs" / "cli.md").read_text()
    context = click.Context(application)
    for name in COMMANDS:
        assert f"automl {name}" in text
        command = application.get_command(context, name)
        assert command is not None
        flags = [flag for option in command.params for flag in option.opts if flag.startswith("--")]
        lacking = [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", text)]
        assert lacking == [], f"automl {name}"
