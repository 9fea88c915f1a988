"""The report's charts as Vega-Lite specifications.

Texts and lines have the colour of the page around them, so that they follow light, dark and print;
a heat map's cells carry their number on a ground of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

ROW, CELL = 20, 64  # pixels of a heat map's cell
LIGHT = 0.44  # of viridis: there black and white both have a contrast of 4.5 and more
_CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domain": False,
        "ticks": False,
        "gridColor": "#8886",
        "labelFontSize": 12,
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 12,
        "labelLimit": 320,
    },
    "title": {"color": "currentColor"},
}


def heat_map(description: str, rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> Spec:
    """Languages down, models across, the score as colour and as number; `rows` have `language`,
    `model` and `score`. One model's languages are sorted by score, several by the mean."""
    return _spec(
        description,
        rows,
        width={"step": CELL},
        height={"step": ROW},
        encoding={
            "x": {
                "field": "model",
                "type": "nominal",
                "sort": list(models),
                "axis": {"orient": "top", "title": None, "labelAngle": -30, "labelAlign": "left"},
            },
            "y": {
                "field": "language",
                "type": "nominal",
                "sort": {"field": "score", "op": "mean", "order": "descending"},
                "axis": {"title": None},
            },
        },
        layer=[
            {
                "mark": {"type": "rect", "tooltip": True},
                "encoding": {
                    "color": {
                        "field": "score",
                        "type": "quantitative",
                        "scale": {"scheme": "viridis"},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12, "aria": False},
                "encoding": {
                    "text": {"field": "score", "type": "quantitative", "format": ".1f"},
                    "color": {
                        "condition": {"test": _is_light(rows), "value": "#000"},
                        "value": "#fff",
                    },
                },
            },
        ],
    )


def dot_plot(
    description: str, by: str, rows: Sequence[Mapping[str, Any]], models: Sequence[str]
) -> Spec:
    """A row for each group, a dot for each model; `rows` have `group`, `model` and `score`, and
    `lower` and `upper` where there is an interval."""
    legend = {"orient": "top", "title": None, "columns": 1} if len(models) > 1 else None
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["group"], []).append(row["score"])
    best_first = sorted(scores, key=lambda group: -sum(scores[group]) / len(scores[group]))
    return _spec(
        description,
        rows,
        width=260,
        height={"step": ROW},
        encoding={
            "y": {
                "field": "group",
                "type": "nominal",
                "sort": best_first,
                "axis": {"title": by, "grid": True},
            },
            "yOffset": {"field": "model", "type": "nominal", "sort": list(models)},
            "color": {
                "field": "model",
                "type": "nominal",
                "sort": list(models),
                "scale": {"scheme": "tableau10"},
                "legend": legend,
            },
        },
        layer=[
            {
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.5, "aria": False},
                "transform": [{"filter": "isValid(datum.lower)"}],
                "encoding": {
                    "x": {"field": "lower", "type": "quantitative"},
                    "x2": {"field": "upper"},
                },
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 60,
                    "opacity": 1,
                    "tooltip": True,
                },
                "encoding": {
                    "x": {
                        "field": "score",
                        "type": "quantitative",
                        "scale": {"zero": False, "nice": True},
                        "axis": {"title": "mean score, percent"},
                    },
                    "shape": {
                        "field": "model",
                        "type": "nominal",
                        "sort": list(models),
                        "legend": legend,
                    },
                },
            },
        ],
    )


def _spec(description: str, rows: Sequence[Mapping[str, Any]], **parts: Any) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "data": {"values": list(rows)},
        "config": _CONFIG,
        **parts,
    }


def _is_light(rows: Sequence[Mapping[str, Any]]) -> str:
    """Where the colour scale is so light that black is read better on it than white."""
    scores = [row["score"] for row in rows]
    lowest = min(scores)
    return f"datum.score > {lowest + LIGHT * (max(scores) - lowest)}"
