"""The live view of a run on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl_cli.output import number
from automl_cli.progress import Running, Watcher

REFRESHES_PER_SECOND = 4
JOBS_SHOWN = 4
CURVE_SHOWN = 24
_BARS = "▁▂▃▄▅▆▇█"


class LiveProgress(Watcher):
    """Trials done, the running jobs with their curves, the incumbent, the time; gone when the run ends.

    Args:
        asked: As for every watcher.
        trainings: As for every watcher.
        console: Where to draw; standard error when None.
    """

    def __init__(self, asked: int | None = None, trainings: bool = False, console: Console | None = None) -> None:
        super().__init__(asked, trainings)
        self.console = console or Console(stderr=True)
        self._live = Live(
            get_renderable=self.view,
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.stop()

    def view(self) -> RenderableType:
        """Draws the state of now; called by the refreshing thread."""
        if not self.name:
            return Text("preparing", style="dim")
        head = Text.assemble((self.name, "bold"), "  ", (self.parts, "dim"))
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        lines.add_row("done", self._done())
        for running in list(self.running.values())[:JOBS_SHOWN]:
            lines.add_row("now", self._job(running))
        if self.best is not None:
            lines.add_row("best", Text(self.best_text(), style="green"))
        if self.failures:
            lines.add_row("failed", Text(f"{self.failures}, last {self.last_failure}", style="yellow"))
        return Group(head, lines)

    def _done(self) -> RenderableType:
        text = Text(f"{self.count()}, {_clock(self.elapsed)}")
        if not self.asked or self.counts_trainings:
            return text
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(ProgressBar(total=self.asked, completed=self.trials, width=30), text)
        return row

    def _job(self, running: Running) -> Text:
        job = running.job
        text = Text(f"{self.subject(job, running.label)}, {running.reached} of {job.to_budget} {self.unit}")
        if running.curve:
            text.append(f"  {sparkline(running.curve)}  ", style="cyan")
            text.append(f"{self.metric} {number(self.metric, running.curve[-1])}")
        return text


def sparkline(curve: list[float]) -> str:
    """Draws the last values of a curve as bars between their smallest and their largest."""
    shown = curve[-CURVE_SHOWN:]
    low, high = min(shown), max(shown)
    if not high > low:
        return _BARS[0] * len(shown)
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in shown)


def _clock(elapsed: float) -> str:
    whole = int(elapsed)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
