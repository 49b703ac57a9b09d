"""A report is whole in itself, shows every number with its run, and cannot be broken by what is in a record."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from analyzers.errors import UnknownRun, UsageError
from analyzers.records import Forecast, Forecasts, GeneratedText, Generation, Lengths, Run, Split
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run
from tools import browser
from tools.report import Narrative, document, report, write
from tools.report.content import Table
from tools.workspace import Workspace

EVERYTHING = [*story(), evaluation_run()]


class Page(HTMLParser):
    """What a browser would load, the text, and the balance of tags."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes) -> None:
        fields = dict(attributes)
        if tag in ("script", "img", "iframe", "video", "link"):
            self.loads += [value for name, value in attributes if name in ("src", "href") and value]
        self.scripts += tag == "script"
        self.ids += [fields["id"]] if "id" in fields else []
        self.links += [fields["href"]] if tag == "a" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data + " "


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(EVERYTHING, tmp_path_factory.mktemp("report") / "report.html").read_text()


def test_the_page_loads_nothing_and_refuses_to(page: str) -> None:
    parsed = Page(page)
    assert parsed.loads == []
    assert parsed.open == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert page.count("plotly.js v") == 1  # the library once, however many charts


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    parsed = Page(page)
    inside = {link[1:] for link in parsed.links if link.startswith("#")}
    assert {run.id for run in EVERYTHING} <= inside
    assert inside <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_every_measurement_stands_in_the_page(page: str) -> None:
    text = Page(page).text
    for shown in (
        "3 of 6 layers were removed: 1-3.",
        "keeps 98.0 % (95.9 to 100.2) of the accuracy and it is 1.87 times (1.80 to 1.95) as fast",
        "88.1 % (85.0 to 90.9) after, 89.9 % (87.1 to 92.5) before, on 455 examples",
        "the interval of the difference holds zero: this test cannot tell the two apart",
        "Kendall's W = 0.74",
        "71.3 % (68.2 to 74.0)",
        "6.10 ms (5.90 to 6.40)",
        "layerwise plan analysis-3b3b3b --ratio 2 --seed 0",
        "c" * 64,
        "75.2 % (72.9 to 77.4)",
    ):
        assert shown in text, shown
    for run in EVERYTHING:
        assert run.command in text


def test_each_chart_is_drawn_and_has_a_table(page: str) -> None:
    charts = [div for div in Page(page).ids if div.startswith("chart-")]
    assert len(charts) == 10
    assert page.count("Plotly.newPlot(") >= 10
    assert page.count("<table") >= 10


def test_markdown_says_the_same_with_pictures_beside_it(tmp_path: Path, drawn: None) -> None:
    text = write(EVERYTHING, tmp_path / "my report.md").read_text()
    for shown in ("3 of 6 layers were removed: 1-3.", "88.1 % (85.0 to 90.9)", "| block influence | 2-4 |"):
        assert shown in text, shown
    assert "<" not in text.replace("<https", "")
    for run in EVERYTHING:
        assert f"`{run.id}`" in text
        assert run.command in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert len(links) == 10
    assert {unquote(link) for link in links} == {
        str(path.relative_to(tmp_path)) for path in (tmp_path / "my report-pictures").iterdir()
    }


def test_markdown_without_a_browser_has_the_tables_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "browser", lambda: None)
    text = write(EVERYTHING, tmp_path / "report.md").read_text()
    assert "Install Chromium and write the report again" in text
    assert "![" not in text
    assert "| block influence | 2-4 |" in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_new_pictures_take_the_place_of_the_old_ones(tmp_path: Path, drawn: None) -> None:
    write(EVERYTHING, tmp_path / "report.md")
    write([train_run()], tmp_path / "report.md")
    assert [path.name for path in (tmp_path / "report-pictures").iterdir()] == ["training-train-2a2a2a.png"]
    write([evaluation_run()], tmp_path / "report.md")  # has no charts
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_json_holds_the_records(tmp_path: Path) -> None:
    content = json.loads(write(EVERYTHING, tmp_path / "report.json").read_text())
    assert [Run.model_validate(run) for run in content["runs"]] == EVERYTHING
    assert content["title"] == "Layerwise: demo:minilm on demo:amazon"
    assert content["created"].endswith("Z")


@pytest.mark.parametrize("suffix", [".html", ".md"])
@pytest.mark.parametrize(
    "runs",
    [
        [train_run()],
        [analysis_run()],
        [plan_run()],
        [compression_run()],
        [evaluation_run()],
        [export_run()],
        [train_run(status="failed", result=None, measurements=[], error="no rows")],
        [compression_run(measurements=[])],
        story(30),
        [*story(), compression_run(run_id="compression-777777")],
    ],
    ids=[
        "train",
        "analysis",
        "plan",
        "compression",
        "evaluation",
        "export",
        "failed",
        "nothing-measured",
        "30-layers",
        "two",
    ],
)
def test_any_part_of_a_story_makes_a_report(runs: list[Run], suffix: str, tmp_path: Path, drawn: None) -> None:
    text = write(runs, tmp_path / f"report{suffix}").read_text()
    for run in runs:
        assert run.command in text
        assert run.error is None or run.error in text


def test_an_analysis_by_one_method_has_no_agreement(tmp_path: Path) -> None:
    result = analysis_run().result
    one = {"shap": result.scores["shap"]}
    agreement = result.agreement.model_copy(update={"kendall_w": None, "tau": {"shap": {"shap": 1.0}}})
    run = analysis_run(result=result.model_copy(update={"scores": one, "agreement": agreement}))
    sections = [section.id for section in document([run]).sections]
    assert "scores" in sections
    assert "agreement" not in sections


def test_text_from_a_record_is_never_markup(tmp_path: Path, drawn: None) -> None:
    evil = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"
    run = train_run(model=evil, data="a|b\nc", error=evil, settings={evil: evil})
    harmless = Page(write([train_run()], tmp_path / "harmless.html").read_text())
    html = write([run], tmp_path / "report.html").read_text()
    parsed = Page(html)
    assert (parsed.scripts, parsed.loads) == (harmless.scripts, [])
    assert evil in parsed.text
    plan = plan_run()
    layer = plan.result.layers[0].model_copy(update={"name": evil})
    charted = plan_run(result=plan.result.model_copy(update={"layers": [layer, *plan.result.layers[1:]]}))
    assert "<script>alert" not in write([charted], tmp_path / "plan.html").read_text()
    assert "a\\|b c" in write([run], tmp_path / "report.md").read_text()


def test_honesty_about_differences() -> None:
    def text(value: float) -> str:
        measurements = [
            m.model_copy(update={"value": value}) if (m.name, m.subject) == ("accuracy", "healed") else m
            for m in compression_run().measurements
        ]
        return " ".join(
            fact.text for fact in document([compression_run(measurements=measurements)]).sections[0].blocks[0].items
        )

    assert "cannot tell the two apart" in text(0.88)
    assert "leaves out zero: it is more than chance" in text(0.80)


def test_limits_name_missing_parents_and_unfinished_runs() -> None:
    sections = {section.id: section for section in document([plan_run(30, status="cancelled")]).sections}
    text = " ".join(fact.text for fact in sections["limits"].blocks[0].items)
    assert "analysis-3b3b3b, which is not in this report" in text
    assert "cancelled" in text
    assert "Not every set of layers was measured" in text


def test_the_plan_is_marked_in_the_table_of_candidates() -> None:
    sections = {section.id: section for section in document([plan_run()]).sections}
    table = next(block for block in sections["plan"].blocks if isinstance(block, Table) and block.header[0] == "from")
    assert table.marked is not None
    assert table.rows[table.marked][0] == "search"
    assert table.rows[0][:2] == ["all layers", "none"]
    assert len(table.rows) == 8


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in EVERYTHING:
        workspace.runs.save(run)
    return workspace


def test_ancestors_are_pulled_in(workspace: Workspace, tmp_path: Path) -> None:
    out = report(["compression-5d5d5d"], tmp_path / "out" / "report.json", workspace)
    assert [run["id"] for run in json.loads(out.read_text())["runs"]] == [run.id for run in story()]


def test_a_deleted_or_damaged_ancestor_is_no_obstacle(workspace: Workspace, tmp_path: Path, drawn: None) -> None:
    (workspace.runs.folder("train-2a2a2a") / "record.json").write_text("{")
    text = report(["plan-4c4c4c"], tmp_path / "report.md", workspace).read_text()
    assert "train-2a2a2a, which is not in this report" in text
    workspace.runs.delete("analysis-3b3b3b", force=True)
    text = report(["plan-4c4c4c"], tmp_path / "report.md", workspace).read_text()
    assert "analysis-3b3b3b, which is not in this report" in text


def test_bad_requests(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'report.docx': a report ends in \.html, \.md, \.json or \.pdf"):
        report(["plan-4c4c4c"], tmp_path / "report.docx", workspace)
    with pytest.raises(UnknownRun, match="plan-zzzzzz"):
        report(["plan-zzzzzz"], tmp_path / "report.md", workspace)
    with pytest.raises(UsageError, match="at least one run"):
        write([], tmp_path / "report.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write(EVERYTHING, tmp_path / "folder.md")


def test_the_summary_comes_first_and_how_to_make_it_again_last() -> None:
    ids = [section.id for section in document(EVERYTHING).sections]
    assert ids == [
        *("certainty", "data", "training", "scores", "agreement", "fidelity", "plan", "compression", "evaluation"),
        *("cost", "limits", "settings", "environment", "checksums", "commands"),
    ]
    again = next(block for block in document(EVERYTHING).sections[-1].blocks if block.__class__.__name__ == "Command")
    assert again.text == " && ".join(f"layerwise reproduce {run.id}" for run in EVERYTHING)


def text_of(runs: list[Run], section: str) -> str:
    found = next(each for each in document(runs).sections if each.id == section)
    rows = [
        " | ".join(row) for block in found.blocks if isinstance(block, Table) for row in [block.header, *block.rows]
    ]
    return "\n".join([*rows, *(fact.text for block in found.blocks if hasattr(block, "items") for fact in block.items)])


def test_the_data_are_described() -> None:
    lengths = Lengths(shortest=3, median=81.5, most=240, longest=1204)
    split = Split(n=200, sha256="a" * 64, classes={"negative": 50, "positive": 150}, lengths=lengths)
    text = text_of([train_run(splits={"train": split})], "data")
    assert "split | examples | negative | positive | characters: median | 95 % up to | longest" in text
    assert "train | 200 | 50 (25.0 %) | 150 (75.0 %) | 82 | 240 | 1,204" in text
    assert "train | 2,104\n" in text_of([train_run()], "data")  # a record from before


def test_many_classes_are_summed_up() -> None:
    lengths = Lengths(shortest=3, median=81.5, most=240, longest=1204)
    split = Split(n=24, sha256="a" * 64, classes={f"c{n}": 2 for n in range(12)}, lengths=lengths)
    text = text_of([train_run(splits={"train": split})], "data")
    assert "c9 | 2 other classes | characters" in text
    assert "2 (8.3 %) | 4 | 82" in text


def test_what_was_foretold_stands_beside_what_it_took() -> None:
    foretold = Forecasts(
        seconds=Forecast(value=150.0, n=2, runs=(), basis="examples"), unknown={"memory_mb": "no size"}
    )
    text = text_of([train_run(foretold=foretold, peak_mb=812.0), analysis_run()], "cost")
    assert "train-2a2a2a | time | 2:30 | 3:04 | 1.22 times that | examples; 2 earlier runs" in text
    assert "train-2a2a2a | memory | unknown | 812.0 MB |  | no size" in text
    assert "No forecast was kept with analysis-3b3b3b." in text


def test_texts_of_both_models_stand_side_by_side() -> None:
    written = Generation(
        tokens=20, prompt_tokens=8, texts=[GeneratedText(prompt="Once", dense="upon", compressed="up")]
    )
    result = compression_run().result.model_copy(update={"generation": written})
    assert "Once | upon | up" in text_of([compression_run(result=result)], "texts")
    assert "1 texts are shown" in text_of([compression_run(result=result)], "limits")


@pytest.mark.parametrize("samples", ["auto", 64, None])
def test_limits_of_any_number_of_samples(samples: object) -> None:
    text = text_of([analysis_run(settings={"samples": samples})], "limits")
    assert ("Scores rest on 64 calibration examples." in text) == (samples == 64)


def test_the_same_limit_of_two_runs_is_said_once() -> None:
    text = text_of([analysis_run(), analysis_run(run_id="analysis-999999")], "limits")
    assert text.count("Which method to believe was measured on this model") == 1


def test_a_narrative_stands_after_the_headline_and_is_no_markup(tmp_path: Path, drawn: None) -> None:
    told = Narrative("First <b>it</b>.\n\nThen that.", "ollama:small", "It needed two tries.")
    for suffix in (".html", ".md", ".json"):
        text = write([train_run()], tmp_path / f"report{suffix}", narrator=lambda runs, language: told).read_text()
        assert "Then that." in text
        assert "ollama:small" in text
        assert "It needed two tries." in text
        assert suffix != ".html" or "<b>it</b>" not in text
        assert text.index("Then that.") < text.index("No text is in two splits" if suffix != ".json" else '"runs"')


def test_headings_in_chinese(tmp_path: Path) -> None:
    text = write([train_run()], tmp_path / "report.html", language="zh").read_text()
    assert '<html lang="zh">' in text
    assert "<h2>局限与风险</h2>" in text
    assert "Limits and threats" not in text
