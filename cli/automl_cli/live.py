"""The live view of a run on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from automl_cli.output import budget_text, number
from automl_cli.progress import STOPPING, Running, Watcher

if TYPE_CHECKING:
    from automl_core import Study

REFRESHES_PER_SECOND = 4
JOBS_SHOWN = 4
CURVE_SHOWN = 24
BAR_WIDTH = 30
LABEL_WIDTH = 8
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

    def started(self, study: Study) -> None:
        super().started(study)
        for note in study.notes:  # above the view, where they stay
            self.console.print(Text(f"note: {note}"))

    def view(self) -> RenderableType:
        """Draws the state of now, a line for each thing; called by the refreshing thread."""
        if not self.name:
            return Text("preparing", style="dim")
        lines = [Text.assemble((self.name, "bold"), "  ", (self.parts, "dim")), self._line("begun", self._begun())]
        running = list(self.running.values())
        lines += [self._line("now", self._job(one)) for one in running[:JOBS_SHOWN]]
        if len(running) > JOBS_SHOWN:
            lines.append(self._line("", Text(f"and {len(running) - JOBS_SHOWN} more jobs", style="dim")))
        if self.best is not None:
            lines.append(self._line("best", Text(self.best_text(), style="green")))
        if self.failures:
            lines.append(self._line("failed", Text(f"{self.failures}, last {self.last_failure}", style="yellow")))
        if self.violations:
            text = f"{self.violations}, last {self.last_violation}"
            lines.append(self._line("refused", Text(text, style="dim")))
        if self.drops:
            lines.append(self._line("dropped", Text(f"{self.drops.total()}, last {self.last_drop}", style="dim")))
        if self.is_stopping:
            lines.append(Text(STOPPING, style="yellow"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _line(self, what: str, text: Text) -> Text:
        return Text.assemble((f"{what:<{LABEL_WIDTH}}", "dim"), text)

    def _begun(self) -> Text:
        text = Text(f"{self.count()}, {_clock(self.elapsed)}")
        if not self.asked or self.counts_trainings:
            return text
        full = min(BAR_WIDTH, BAR_WIDTH * self.trials // self.asked)
        return Text.assemble(("━" * full, "green"), ("─" * (BAR_WIDTH - full), "dim"), "  ", text)

    def _job(self, running: Running) -> Text:
        job = running.job
        if running.reached is None:
            far = f"from {job.from_budget} to {budget_text(job.to_budget, self.unit)}"
        else:
            far = f"{running.reached} of {budget_text(job.to_budget, self.unit)}"
        text = Text(f"{self.subject(job, running.label)}, {far}")
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
