"""A report as one HTML page: charts that answer to the mouse, and nothing loaded from anywhere."""

from tools.rendering import rendered
from tools.report.content import Chart, Document


def page(content: Document) -> str:
    """The whole page, plotly's library in it."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    charts = content.charts()
    drawn = {id(chart): Markup(_drawn(chart, number)) for number, chart in enumerate(charts)}
    return rendered("report.html.j2", document=content, drawn=drawn, plotly=Markup(get_plotlyjs()) if charts else "")


def _drawn(chart: Chart, number: int) -> str:
    return str(
        chart.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"chart-{number}",
            default_height=f"{chart.figure.layout.height}px",
            config={"displayModeBar": False, "responsive": True},
        )
    )
