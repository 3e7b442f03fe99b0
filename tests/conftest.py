"""What every test shares: one thread a process, no settings of the caller's, properties checked the same each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

# Before torch is imported anywhere: tests run side by side, and threads that fight for cores cost more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

collect_ignore = ["plugin_fixture"]  # a distribution of its own, tested where it is installed

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; tests of Ctrl-C need it to work.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("automl", deadline=None, derandomize=True)
settings.load_profile("automl")


@pytest.fixture(autouse=True)
def _no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AUTOML_") or name == "COLUMNS"]:
        monkeypatch.delenv(name)  # COLUMNS is set for tests that run side by side


class ScratchEnvironment:
    """A virtual environment made in a second: it borrows this environment's dependencies, but not its packages of ours.

    A ``.pth`` file puts the outer ``site-packages`` behind its own. The ``.pth`` files in there, such as the one of an
    editable installation, are not followed from a path that is borrowed this way: what is not installed in the scratch
    environment itself and is not a plain package of the outer one cannot be imported.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        venv.create(directory, symlinks=True)
        self.python = directory / "bin" / "python"
        self.packages = next((directory / "lib").glob("python*/site-packages"))
        outer = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (self.packages / "outer.pth").write_text("\n".join([*outer, ""]))

    def install(self, *projects: Path) -> None:
        """Installs projects or wheels that are on this machine, and nothing else."""
        options = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--ignore-installed")
        self._checked(sys.executable, "-m", "pip", "--python", self.python, "install", *options, *projects)

    def run(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs its Python, in its own directory and without the caller's settings; does not check the exit code."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AUTOML_", "VIRTUAL"))}
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=self.directory,
            env=kept | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def automl(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs its ``automl`` command."""
        return self.run(self.directory / "bin" / "automl", *arguments, **environment)

    @staticmethod
    def _checked(*command: object) -> None:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built once in each test process."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scratch(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> ScratchEnvironment:
    """A scratch environment with the project's wheel installed."""
    environment = ScratchEnvironment(tmp_path_factory.mktemp("scratch") / "environment")
    environment.install(wheel)
    return environment
