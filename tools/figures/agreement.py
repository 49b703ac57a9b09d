"""How far the methods agree."""

import plotly.graph_objects as go

from analyzers.records import AnalysisResult
from tools.figure_style import AMBER, INK, SKY, finished
from tools.figures.values import Values
from tools.wording import title


def agreement_matrix(result: AnalysisResult) -> go.Figure:
    """Kendall's τ between every two methods."""
    names = list(result.agreement.tau)
    values = [[result.agreement.tau[a].get(b) for b in names] for a in names]
    shown = [title(name) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=shown,
            y=shown,
            zmin=-1,
            zmax=1,
            colorscale=[[0, AMBER], [0.5, "#ffffff"], [1, SKY]],
            xgap=2,
            ygap=2,
            text=[["" if value is None else f"{value:.2f}" for value in row] for row in values],
            texttemplate="%{text}",
            textfont={"color": INK},
            hovertemplate="%{y} and %{x}: τ = %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "τ"}, "thickness": 12, "outlinewidth": 0},
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    figure.update_xaxes(showgrid=False, ticks="", side="bottom")
    return finished(figure, 130 + 46 * len(names), legend=False)


def agreement_table(result: AnalysisResult) -> Values:
    """Kendall's τ of each method with every other."""
    names = list(result.agreement.tau)
    rows = []
    for one in names:
        values = [result.agreement.tau[one].get(other) for other in names]
        rows.append([title(one), *("" if value is None else f"{value:.2f}" for value in values)])
    return Values(["Kendall's τ", *(title(name) for name in names)], rows)
