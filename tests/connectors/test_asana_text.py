"""Markdown to the rich text Asana accepts, keys in texts, and texts compared."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.asana.text import LONGEST, LONGEST_NAME, document, external, key_from, key_in, line, mark, normal, rich

TASK = {"body", "strong", "em", "u", "s", "code", "ol", "ul", "li", "a", "h1", "h2", "hr"}
_markdown = st.lists(
    st.sampled_from(
        ["# h\n", "- a\n", "  - b\n", "1. c\n", "> q\n", "```\nx<y\n```\n", "|a|b|\n|-|-|\n|1|2|\n", "\n", "**b** *i* ~~s~~ `c`\n"]
    )
    | st.text(max_size=30),
    max_size=12,
).map("".join)
_keys = st.text(min_size=1, max_size=60).filter(lambda key: not any(0xD800 <= ord(letter) <= 0xDFFF for letter in key))


@pytest.mark.parametrize(
    ("markdown", "markup"),
    [
        ("# Why\n\nBecause **big** and *new*", "<h1>Why</h1>Because <strong>big</strong> and <em>new</em>"),
        ("### Deep", "<h2>Deep</h2>"),
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("- a\n- b\n  1. c", "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>"),
        ("- # loud\n- ***", "<ul><li><strong>loud</strong></li><li>———</li></ul>"),
        ("[site](https://acme.test/?a=1&b=2)", '<a href="https://acme.test/?a=1&amp;b=2">site</a>'),
        ("[bad](javascript:alert(1)) [odd](ftp://x.test)", "[bad](javascript:alert(1)) odd"),
        ("a `<b>` c", "a <code>&lt;b&gt;</code> c"),
        ("<b>x</b> & <script>", "&lt;b&gt;x&lt;/b&gt; &amp; &lt;script&gt;"),
        ("|Product|Qty|\n|-|-|\n|Seat|40|\n|Desk||", "<ul><li>Product: Seat, Qty: 40</li><li>Product: Desk</li></ul>"),
        ("a\n\n---\n\nb", "a<hr/>b"),
        ("bell\x07 and \ud800 gone", "bell and  gone"),
        ("", ""),
    ],
)
def test_markdown_becomes_markup(markdown: str, markup: str) -> None:
    assert rich(markdown, plain=False) == markup


def test_projects_and_comments_get_no_headings_and_no_rules() -> None:
    assert rich("# Why\n\n---\n\nso", plain=True) == "<strong>Why</strong>\n\n———\n\nso"


@given(_markdown, st.booleans())
@example("&nbsp;\u00a0<![CDATA[x]]>", False)
def test_any_text_becomes_well_formed_markup_within_the_allowed_tags(text: str, plain: bool) -> None:
    root = ET.fromstring(document(text, key="crm:deal:1/a", plain=plain))  # noqa: S314 (our own output)
    allowed = TASK - ({"h1", "h2", "hr"} if plain else set())
    assert {each.tag for each in root.iter()} <= allowed
    assert all(each.tag == "a" and set(each.attrib) == {"href"} for each in root.iter() if each.attrib)


@given(_markdown, st.booleans())
def test_the_normal_form_is_stable_and_blind_to_the_marker(text: str, plain: bool) -> None:
    once = normal(document(text, plain=plain))
    assert normal(once) == once
    assert normal(document(text, key="crm:deal:1/a", plain=plain)) == once


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("a\n\nb", "<body>a \n b </body>"),
        ("**a** b", "<body><b>a</b> b</body>"),
        ("- x", "<body>\n<ul>\n <li>x</li>\n</ul>\n</body>"),
        ("https://x.test", '<body><a href="https://x.test">https://x.test</a></body>'),
        ("a & b", "<body>a &#38; b</body>"),
    ],
)
def test_what_only_looks_different_is_the_same(written: str, held: str) -> None:
    assert normal(document(written, plain=False)) == normal(held)


@pytest.mark.parametrize(
    "held", ["<body>b</body>", "<body>a!</body>", "<body><strong>a</strong></body>", "<body>a<ul><li>x</li></ul></body>"]
)
def test_what_reads_differently_differs(held: str) -> None:
    assert normal(document("a", plain=False)) != normal(held)


@given(_keys)
@example("salesforce:deal:006/onboarding/kick off")
@example("crm:deal:1/100%/<é>&'\"")
def test_a_key_is_read_back_from_every_form(key: str) -> None:
    markup = document("Some *notes*", key=key, plain=False)
    assert key_in(markup) == key
    assert key_in(f"Some notes\n{mark(key)}") == key
    assert key_in(f"an item{mark(key)}\n") == key
    assert key_from(external(key)) == key
    assert "/" not in external(key)


def test_the_last_marker_counts_so_that_a_text_cannot_pose_as_another_object() -> None:
    forged = document("handoff:crm:deal:other", key="crm:deal:1", plain=False)
    assert key_in(forged) == "crm:deal:1"
    assert key_in("nothing here") == ""


def test_a_text_too_long_is_cut_at_the_limit_and_says_so() -> None:
    cut = rich("word & " * 30_000, plain=False)
    assert len(cut) <= LONGEST
    assert "the whole text has 210000 characters" in cut
    ET.fromstring(f"<body>{cut}</body>")  # noqa: S314 (our own output)


def test_a_name_is_one_line_of_bounded_length() -> None:
    assert line(" a\r\nb\tc \x00") == "a b c"
    assert len(line("x" * 3000)) == LONGEST_NAME
