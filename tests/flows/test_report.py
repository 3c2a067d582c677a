from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import chart
from flows.report import render, safe_url
from flows.view import ProjectView, SectionView
from tests.flows.views import SMALL, TODAY, project, task

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
_VOID = {"meta", "br", "hr", "line", "link"}


class Page(HTMLParser):
    """Collects tags, attributes and text; `unclosed` is what was left open, `stray` what closed something else."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.unclosed: list[str] = []
        self.stray: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()
        else:
            self.stray.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(*views: ProjectView) -> Page:
    return Page(render(views, title="Handoff", generated_at=NOW))


def test_the_overview_counts_and_links_to_every_project() -> None:
    text = render([SMALL, SMALL], title="Monday", generated_at=NOW, summary={"Deals won": 7})
    figures = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)
    assert figures == [("Projects", "2"), ("Tasks", "8"), ("Milestones", "2"), ("Done", "2"), ("Overdue", "2"), ("Deals won", "7")]
    assert text.count('href="#p1"') == text.count('href="#p2"') == 1
    assert text.count('<article id="p') == 2


def test_a_project_tells_its_customer_its_tasks_and_why_it_exists() -> None:
    shown = page(SMALL)
    for words in (
        "明远智能",
        "On track",
        "1,280,000 CNY",
        "Agree the scope",
        "Clara Weiss",
        "rule onboard-won-deals, rules.yaml:29",
        "Minutes",
    ):
        assert words in shown.text
    assert ("href", "https://app.asana.com/0/1/board") in shown.attributes
    assert ("href", "https://example.lightning.force.com/r/1") in shown.attributes


def test_overdue_is_said_in_words_not_by_colour_alone() -> None:
    assert "24 Nov overdue" in page(SMALL).text


def test_nothing_is_loaded_from_elsewhere_and_no_script_may_run() -> None:
    shown = page(SMALL)
    assert not {"script", "link", "img", "iframe", "object"} & set(shown.tags)
    assert not [name for name, _ in shown.attributes if name in {"src", "srcset"} or name.startswith("on")]
    assert [value for name, value in shown.attributes if name == "content" and str(value).startswith("default-src 'none'; style-src")]
    assert "url(" not in render([project()], title="t", generated_at=NOW)


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><script>alert(1)</script>",
    "{{ 7*7 }}{% raw %}",
    "\u202etxet desrever",
    "]]> & &lt;b&gt; 'quote' \"quote\"",
    "<!-- comment -->",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_wherever_it_stands(name: str) -> None:
    evil = task(name, TODAY, TODAY, assignee=name, waits_for=(name,), notes_markdown=name, subtasks=(task(name),), url=name)
    text = render(
        [
            project(
                SectionView(name, (evil,)),
                name=name,
                customer=name,
                owner=name,
                why=name,
                status=name,
                context_markdown=name,
                url=name,
                source_url=name,
            )
        ],
        title=name,
        generated_at=NOW,
        summary={name: name},
    )
    shown = Page(text)
    assert not {"script", "img"} & set(shown.tags)
    assert not [each for each, _ in shown.attributes if each.startswith("on")]
    assert not shown.unclosed
    assert not shown.stray
    assert "\u202e" not in text
    assert " ".join(name.replace("\u202e", "").split()) in shown.text


@given(st.text(max_size=200))
def test_no_text_breaks_the_page(text: str) -> None:
    view = project(SectionView(text, (task(text or "x", TODAY, TODAY, notes_markdown=text),)), name=text, context_markdown=text)
    shown = page(view)
    assert not shown.unclosed
    assert not shown.stray
    assert set(shown.tags) <= ALLOWED


DOCUMENT = {"html", "head", "meta", "title", "style", "body", "header", "main", "section", "article", "footer", "details", "summary"}
TEXT = {
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "a",
    "b",
    "i",
    "s",
    "em",
    "strong",
    "code",
    "pre",
    "br",
    "hr",
    "blockquote",
    "ul",
    "ol",
    "li",
}
DATA = {"bdi", "span", "time", "div", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "progress"}
DRAWING = {"svg", "defs", "marker", "path", "rect", "line", "text"}
ALLOWED = DOCUMENT | TEXT | DATA | DRAWING


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", " javascript:x", "JAVASCRIPT:x", "//evil.example", "", "http://[", "file:///x"]
)
def test_an_unsafe_address_is_no_link(url: str) -> None:
    assert safe_url(url) == ""
    links = [
        value
        for name, value in page(project(SectionView("S", (task("t", url=url),)), url=url, source_url=url)).attributes
        if name == "href"
    ]
    assert links == ["#p1"]


def test_markdown_links_that_run_code_stay_text() -> None:
    shown = page(project(context_markdown="[x](javascript:alert(1)) ![y](https://evil.example/track.png) [ok](https://ok.example)"))
    assert [value for name, value in shown.attributes if name == "href"] == ["#p1", "https://evil.example/track.png", "https://ok.example"]
    assert "img" not in shown.tags


def test_an_empty_report_says_so() -> None:
    assert "No projects yet." in page().text


def test_the_drawing_puts_bars_milestones_free_days_and_today_in_their_places() -> None:
    drawing = chart.draw(SMALL, TODAY)
    assert drawing is not None
    rows = {row.title: row for row in drawing.rows}
    briefing, kickoff, scope = (rows[name] for name in ("Sales briefing", "Kickoff 明远智能制造有限公司", "Agree the scope"))
    assert briefing.x == chart.LABEL
    assert briefing.end < (kickoff.x or 0) < (scope.x or 0) < scope.end <= chart.WIDTH
    assert (briefing.state, rows["Billing"].state, scope.state) == ("done", "late", "open")
    assert len(drawing.free) == 6  # three weekends
    assert drawing.today is not None
    assert briefing.x < drawing.today < (kickoff.x or 0)
    assert [band.text for band in drawing.weeks] == ["23", "30", "7"]


def test_arrows_lead_from_each_task_to_those_that_wait_for_it() -> None:
    drawing = chart.draw(SMALL, TODAY)
    assert drawing is not None
    assert len(drawing.arrows) == 3


def test_an_arrow_back_in_time_still_ends_at_its_task() -> None:
    late, early = (
        task("Late", date(2026, 12, 1), date(2026, 12, 9)),
        task("Early", date(2026, 11, 23), date(2026, 11, 24), waits_for=("Late",)),
    )
    drawing = chart.draw(project(SectionView("S", (late, early))), TODAY)
    assert drawing is not None
    target = next(row for row in drawing.rows if row.title == "Early")
    end = (target.x or 0) - 1
    assert drawing.arrows[0].endswith(f"H{end - 6:.1f}V{target.middle:.1f}H{end:.1f}")  # it comes in from the left


def test_a_project_without_dates_has_no_drawing() -> None:
    assert chart.draw(project(SectionView("S", (task("x"),))), TODAY) is None
    assert "svg" not in page(project(SectionView("S", (task("x"),)))).tags


def test_names_that_repeat_across_tasks_draw_an_arrow_from_each() -> None:
    twins = (task("Twin", TODAY, TODAY), task("Twin", TODAY, TODAY), task("After", TODAY, TODAY, waits_for=("Twin",)))
    drawing = chart.draw(project(SectionView("S", twins)), TODAY)
    assert drawing is not None
    assert len(drawing.arrows) == 2
