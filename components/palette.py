"""The colours, marks and line styles of every set and model, once. Pure data; knows no page and no figure.

Hue says which set (orange: forget, blue: keep), never good or bad; the two models carry no hue of their own. Each
meaning also has a shape and a line style, so that nothing depends on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

MINIMUM_TEXT_CONTRAST = 4.5
MINIMUM_MARK_CONTRAST = 3.0
HEAT_ALPHA = 0.42  # share of the hue behind a token at the end of the heat scale


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme's colours as #rrggbb. `paper`: page, `panel`: cards, `ink`: text, `muted`: helper text."""

    paper: str
    panel: str
    line: str
    ink: str
    muted: str
    forget: str
    forget_tint: str
    forget_ink: str
    retain: str
    retain_tint: str
    retain_ink: str
    original: str


LIGHT = Theme(paper="#ffffff", panel="#f8fafc", line="#e2e8f0", ink="#0f172a", muted="#475569",
              forget="#c2410c", forget_tint="#ffedd5", forget_ink="#7c2d12",
              retain="#1d4ed8", retain_tint="#dbeafe", retain_ink="#1e3a8a", original="#64748b")
DARK = Theme(paper="#0e131b", panel="#161d28", line="#2b3544", ink="#e6ebf2", muted="#9aa8ba",
             forget="#fb923c", forget_tint="#7c2d12", forget_ink="#ffedd5",
             retain="#60a5fa", retain_tint="#1e3a8a", retain_ink="#dbeafe", original="#94a3b8")

# Figures are drawn once for both themes: these stay at least 3:1 on either paper. Their text is coloured by style.css.
PLOT_FORGET = "#ea580c"
PLOT_RETAIN = "#3b82f6"
PLOT_GREY = "#7b8494"
PLOT_GRID = "rgba(123,132,148,0.18)"
PLOT_BAND = "rgba(234,88,12,0.16)"

GLYPHS = {"forget": "◆", "retain": "●", "original": "○", "edited": "■"}
SPLIT_TITLES = {
    "forget": "Forget",
    "forget_paraphrase": "Leak check",
    "forget_spanish": "Asked in Spanish",
    "forget_choice": "Multiple choice",
    "neighbor": "Neighbours",
    "retain": "Retain",
    "general": "General knowledge",
}


def side(split: str) -> str:
    """Which set a split belongs to: "forget" or "retain" (everything that is to be kept)."""
    return "forget" if split.startswith("forget") else "retain"


def glyph(split: str) -> str:
    """The mark of the set that a split belongs to."""
    return GLYPHS[side(split)]


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, in [0, 1] (WCAG 2.2)."""
    channels = (int(colour[index:index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def blend(front: str, back: str, alpha: float) -> str:
    """The colour seen when `front` covers `back` with opacity `alpha`."""
    pairs = ((int(front[i:i + 2], 16), int(back[i:i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(alpha * f + (1 - alpha) * b):02x}" for f, b in pairs)


def css_variables(theme: Theme) -> dict[str, str]:
    """The custom properties of style.css for one theme; a test holds the file to them."""
    names = ("paper", "panel", "line", "ink", "muted", "forget", "forget_tint", "forget_ink", "retain", "retain_tint",
             "retain_ink", "original")
    return {f"--lt-{name.replace('_', '-')}": getattr(theme, name) for name in names}
