"""The plan beside everything that it was compared with."""

import plotly.graph_objects as go

from analyzers.records import Outcome, PlanResult
from tools.figure_style import BLUE, GREY, ORANGE, axis_title, finished, interval_bars, scaled
from tools.figures.values import Values
from tools.wording import layers, significant, title, units, with_interval


def candidates(plan: PlanResult) -> go.Figure:
    """Every candidate on the select split with its interval, the plan on top, all layers as a line."""
    rows = list(reversed(plan.candidates))
    figure = go.Figure(
        go.Scatter(
            x=[scaled(plan.metric, row.select.metric.value) for row in rows],
            y=list(range(len(rows))),
            error_x=interval_bars([row.select.metric for row in rows], plan.metric),
            mode="markers",
            marker={
                "size": [14 if row is plan.candidates[0] else 9 for row in rows],
                "color": [ORANGE if row is plan.candidates[0] else BLUE for row in rows],
                "symbol": ["star" if row is plan.candidates[0] else "circle" for row in rows],
                "opacity": 1,
            },
            customdata=[layers(row.remove) for row in rows],
            hovertemplate="%{x:.4g}, removed: %{customdata}<extra></extra>",
        )
    )
    names = [f"{title(row.source)}{' (the plan)' if row is plan.candidates[0] else ''}" for row in rows]
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(rows))), ticktext=names, showgrid=False, zeroline=False
    )
    figure.update_xaxes(title_text=f"{axis_title(plan.metric)}, select split")
    dense = scaled(plan.metric, plan.dense.metric.value)
    figure.add_scatter(
        x=[dense, dense],
        y=[-0.5, len(rows) - 0.2],
        mode="lines+text",
        text=["", "all layers "],
        textposition="middle left",
        textfont={"color": GREY, "size": 11},
        line={"dash": "dot", "color": GREY, "width": 1.5},
        hoverinfo="skip",
    )
    return finished(figure, 100 + 30 * max(len(rows), 3), legend=False)


def candidate_table(plan: PlanResult) -> Values:
    """All layers, then every candidate as in the picture, the plan first; with the test split where it was measured."""

    def outcome(found: Outcome | None) -> list[str]:
        return [with_interval(found.metric, plan.metric), significant(found.loss.value)] if found else ["", ""]

    rows = [["all layers", "none", *outcome(plan.dense), *outcome(plan.dense_test)]]
    for each in plan.candidates:
        named = f"{title(each.source)}{' (the plan)' if each is plan.candidates[0] else ''}"
        rows.append([named, units(plan, each.remove), *outcome(each.select), *outcome(each.test)])
    metric = title(plan.metric)
    return Values(["from", "removes", f"{metric}, select split", "loss", f"{metric}, test split", "loss"], rows)
