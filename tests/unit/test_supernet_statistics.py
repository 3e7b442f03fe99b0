"""What is told of a cycle's candidates, and how a supernet's training is drawn."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from automl_core.types import Point
from automl_prdarts.drawing import draw_curve
from automl_prdarts.evaluator import SupernetEvaluator
from automl_prdarts.picture import PANELS, WIDTH, plot_curve
from automl_prdarts.plan import KINDS, Cycle
from automl_prdarts.statistics import SHARES, pool_statistics
from automl_spaces.operations import START, pool_similarity


def curve(epochs: tuple[int, ...] = (15, 15, 10, 10, 10, 10, 10, 10, 10), **left_out: float) -> list[Point]:
    """Gives a curve like the one in the paper: cycles, batches that shrink and grow, shares that fall and rise."""
    points = [Point(0, {"accuracy": 0.1, "loss": 2.3, "batch": 24.0, "cycle": 0.0})]
    for number, length in enumerate(epochs):
        for epoch in range(length):
            unit = len(points)
            accuracy = 0.9 - 0.6 * math.exp(-unit / 20) - 0.08 * math.exp(-epoch / 2)
            metrics = {
                "accuracy": accuracy - 0.02,
                "train_accuracy": accuracy,
                "batch": 24.0 if epoch == 0 else 128.0 - 8 * number,
                "cycle": float(number),
            }
            for kind in KINDS:
                shares = (0.5 - 0.05 * number, 0.25, 0.25 + 0.05 * number)
                metrics |= {f"{share}_share_{kind}": value for share, value in zip(SHARES, shares, strict=True)}
                metrics[f"similarity_{kind}"] = 0.3 + 0.03 * number
            points.append(Point(unit, metrics | left_out))
    return points


class TestStatistics:
    def test_of_the_start(self) -> None:
        found = pool_statistics(Cycle(0, 0, 1, 0, (START,) * 14, (START,) * 14))
        for kind in KINDS:
            assert [found[f"{share}_share_{kind}"] for share in SHARES] == [0.5, 0.25, 0.25]
            assert found[f"similarity_{kind}"] == pytest.approx(pool_similarity(START))

    def test_of_each_cell_apart_and_over_all_edges(self) -> None:
        single, skips = ("conv_3x3",), ("skip_connect",)
        normal = (("conv_3x3", "conv_5x5", "max_pool_3x3"), *[single] * 13)
        found = pool_statistics(Cycle(0, 0, 1, 0, normal, (skips,) * 14))
        assert found["pool_share_normal"] == 1 / 16
        assert found["convolution_share_normal"] == 15 / 16
        assert found["skip_share_reduction"] == 1.0
        # Of 9 pairs, 3 are of one with itself and 2 of a convolution with one that has another size.
        assert found["similarity_normal"] == pytest.approx((13 + (3 + 2 * 0.75) / 9) / 14)
        assert found["similarity_reduction"] == 1.0


class TestTable:
    def test_has_a_line_for_each_cycle_and_bars_over_all_epochs(self) -> None:
        text = draw_curve(curve())
        assert text is not None
        lines = text.splitlines()
        assert max(map(len, lines)) <= 80
        table = lines[lines.index("") + 3 :]
        assert [line.split()[:2] for line in table] == [
            [str(number + 1), str(end)] for number, end in enumerate((15, 30, 40, 50, 60, 70, 80, 90, 100))
        ]
        assert table[0].split()[4:] == ["128", "50", "25", "25", "30", "50", "25", "25", "30"]
        assert lines[1].startswith("accuracy, validation   ▁")
        assert lines[1].endswith("% to 87.5 %, last 87.5 %")
        assert lines[2].endswith("24 to 128, last 64")

    def test_of_a_single_cycle_has_lines_for_some_epochs(self) -> None:
        text = draw_curve(curve((50,)))
        assert text is not None
        table = text.splitlines()[text.splitlines().index("") + 3 :]
        assert len(table) == 12
        assert table[-1].split()[:2] == ["1", "50"]

    def test_shows_what_there_is(self) -> None:
        assert draw_curve([]) is None
        assert draw_curve(curve()[:1]) is None
        text = draw_curve([Point(1, {"accuracy": 0.5, "train_accuracy": math.nan})])
        assert text is not None
        assert text.splitlines()[-1].split() == ["-", "1", "-", "50.0", *["-"] * 9]


class TestPicture:
    @staticmethod
    def parsed(points: list[Point]) -> tuple[str, list[str]]:
        text = plot_curve(points)
        assert text is not None
        return text, [str(one.text) for one in ElementTree.fromstring(text).iter() if one.tag.endswith("text")]

    def test_has_all_panels_with_axes_and_legends(self) -> None:
        text, words = self.parsed(curve())
        for panel in PANELS:
            assert panel.title in words
            for line in panel.lines:
                assert not line.title or line.title in words
        assert any(word.startswith("epoch") for word in words)
        assert words.count("100") >= len(PANELS), "the last epoch stands under every panel"
        assert text.count('stroke-dasharray="1 3"') == 8 * len(PANELS), "a border between two cycles each"
        assert plot_curve(curve()) == text

    def test_stays_on_its_page(self) -> None:
        for points in (curve(), curve((1,)), curve((2,), batch=5000.0), curve((700,))):
            text, _ = self.parsed(points)
            height = int(re.search(r'viewBox="0 0 \d+ (\d+)"', text)[1])  # type: ignore[index]
            for spots in re.findall(r'<polyline points="([^"]+)"', text):
                for spot in spots.split():
                    x, y = map(float, spot.split(","))
                    assert 0 <= x <= WIDTH
                    assert 0 <= y <= height

    def test_a_single_epoch_is_a_dot(self) -> None:
        text, words = self.parsed(curve((1,)))
        assert "<circle" in text
        assert not any("dotted" in word for word in words)

    def test_leaves_out_what_is_not_a_number(self) -> None:
        points = [*curve((3,)), Point(4, {"accuracy": math.nan, "batch": math.inf})]
        text, _ = self.parsed(points)
        assert "nan" not in text
        assert "inf" not in text

    def test_draws_nothing_of_nothing(self) -> None:
        assert plot_curve(curve()[:1]) is None


def test_the_evaluator_gives_both() -> None:
    evaluator = SupernetEvaluator()
    assert evaluator.draw_curve(curve()) == draw_curve(curve())
    assert evaluator.plot_curve(curve()) == plot_curve(curve())
