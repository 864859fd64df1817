"""Every text of the pages can be read: WCAG 2.2 AA, success criterion 1.4.3 (4.5:1) and 1.4.11 (3:1)."""

from __future__ import annotations

import re

import pytest

from ui.rendering import STATIC

GROUNDS = ("paper", "surface", "surface-sunken", "surface-raised")
TEXTS = ("ink", "ink-soft", "ink-faint", "water", "water-strong", "good", "busy", "bad", "idle")
PAIRS = [(text, ground) for text in TEXTS for ground in GROUNDS]
PAIRS += [(tone, f"{tone}-wash") for tone in ("good", "busy", "bad", "idle")]
PAIRS += [("ink", f"{tone}-wash") for tone in ("good", "busy", "bad", "idle", "water")]
PAIRS += [("ink-soft", f"{tone}-wash") for tone in ("good", "busy", "bad", "idle")]
PAIRS += [("on-water", "water"), ("on-water", "water-strong"), ("on-bad", "bad")]
PAIRS += [(ink, ground) for ink in ("hull-ink", "hull-ink-faint") for ground in ("hull", "hull-raised")]
PAIRS += [
    (ink, ground)
    for ink in ("log-ink", "log-faint", "log-water", "log-bad")
    for ground in ("log-paper", "log-raised")
]
CONTROLS = [("control-line", "surface"), ("control-line", "surface-raised"), ("water", "paper")]


def _palette(theme: int) -> dict[str, str]:
    css = (STATIC / "styles" / "tokens.css").read_text()
    both = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    same = re.findall(r"--([\w-]+): (#\w{6});", css)
    return {name: colours[theme] for name, *colours in both} | dict(same)


def _luminance(colour: str) -> float:
    """By https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_stands_out_from_its_ground(theme: int) -> None:
    palette = _palette(theme)
    found = {f"{text} on {ground}": _contrast(palette[text], palette[ground]) for text, ground in PAIRS}
    assert {pair: round(contrast, 2) for pair, contrast in found.items() if contrast < 4.5} == {}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_controls_and_the_focus_stand_out(theme: int) -> None:
    palette = _palette(theme)
    found = {f"{line} on {ground}": _contrast(palette[line], palette[ground]) for line, ground in CONTROLS}
    assert {pair: round(contrast, 2) for pair, contrast in found.items() if contrast < 3} == {}
