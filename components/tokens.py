"""Two models' words on the page: heat over teacher-forced tokens, word differences, plain text. Pure; knows no run.

Everything is escaped: an answer of a model is untrusted text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from itertools import pairwise

from unlearn_core.events import TokenScores

from .numbers import SAME_WITHIN, factor, probability
from .palette import HEAT_ALPHA
from .terms import explained, info

HEAT_CLIP = 4.0  # nats at which the colour is full
LEAST_SIMILARITY = 0.3  # below it, marking words is noise
ALIKE = 0.5  # share of letters in common, in order, from which on other words are no completely different answer
_WORDS = re.compile(r"\w+|[^\w\s]|\s+")
_LEADING = {"Ġ": " ", "▁": " "}


@dataclass(frozen=True, slots=True)
class Word:
    """Neighbouring tokens that make one word: positions `start` to `end` (exclusive) in the scores."""

    text: str
    start: int
    end: int
    delta: float  # nats lost: the sum over its tokens of original − unlearned


def words(scores: TokenScores) -> list[Word]:
    """Tokens merged into words; a word's log-probability is the sum of its tokens'."""
    groups: list[list[int]] = []
    for position, token in enumerate(scores.tokens):
        text = spoken(token)
        opens = not groups or text[:1].isspace() or _special(token) or _special(scores.tokens[position - 1])
        if opens:
            groups.append([position])
        else:
            groups[-1].append(position)
    return [Word("".join(spoken(scores.tokens[i]) for i in group), group[0], group[-1] + 1,
                 sum(_delta(scores, i) for i in group)) for group in groups]


def total(scores: TokenScores) -> float:
    """Nats by which the whole text became less likely (negative: likelier)."""
    return sum(_delta(scores, position) for position in range(len(scores.tokens)))


def heat_html(scores: TokenScores) -> str:
    """The text with every word coloured by its change, details on hover and on focus, a scale, and the total."""
    chips = "".join(_chip(scores, word) for word in words(scores))
    return (f'<div class="lt lt-heat"><p class="lt-heat-text">{chips}</p>'
            f'<p class="lt-heat-total">The expected answer is <strong>{factor(total(scores))}</strong>.</p></div>')


def legend_html() -> str:
    """The scale of the heat view, once for all texts on the page."""
    return (f'<div class="lt lt-scale"><span>{HEAT_CLIP:g} {explained("nats", "logprob")} likelier</span>'
            '<span class="lt-scale-bar" aria-hidden="true"></span>'
            f'<span>{HEAT_CLIP:g} nats less likely: forgotten</span>'
            f'<span class="lt-scale-note">no colour within ±{SAME_WITHIN:g}; point at a word, or go there with Tab, for the details'
            f'{info("heat")}</span></div>')


def words_html(a: str, b: str, expected: str = "") -> str:
    """Original `a` beside unlearned `b` with differing words marked, `expected` outlined where it occurs in either."""
    left, right = _WORDS.findall(a), _WORDS.findall(b)
    if similarity(a, b) < LEAST_SIMILARITY:
        alike = SequenceMatcher(None, a, b, autojunk=False).ratio() >= ALIKE
        note = "Other words, but spelt alike." if alike else "Completely different answers."
        return _two(_outlined(a, expected), _outlined(b, expected), note)
    codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    changed = [code for code in codes if code[0] != "equal"]
    spans_a = _spans(left, [(code[1], code[2]) for code in changed])
    spans_b = _spans(right, [(code[3], code[4]) for code in changed])
    note = "" if changed else "The same answer, word for word."
    return _two(_marked(a, spans_a, "del", expected), _marked(b, spans_b, "ins", expected), note)


def similarity(a: str, b: str) -> float:
    """Share of words and punctuation that two texts have in common, in order, in [0, 1]; blanks do not count."""
    left, right = ([piece for piece in _WORDS.findall(text) if not piece.isspace()] for text in (a, b))
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def plain_html(a: str, b: str, expected: str = "") -> str:
    """Original `a` beside unlearned `b`, unmarked but for the outline around `expected`."""
    return _two(_outlined(a, expected), _outlined(b, expected), "")


def spoken(token: str) -> str:
    """A token as text: tokenizers' marks for a leading space become the space."""
    return _LEADING[token[0]] + token[1:] if token[:1] in _LEADING else token


# Heat ---------------------------------------------------------------------------------------------------------------

def _delta(scores: TokenScores, position: int) -> float:
    before, after = scores.original[position], scores.edited[position]
    return 0.0 if before is None or after is None else before - after


def _special(token: str) -> bool:
    return token.startswith("<") and token.endswith(">") and len(token) > 2


def _visible(text: str) -> str:
    """Text whose line breaks can be seen; an end token in words."""
    if text in {"</s>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<eos>"}:
        return "end of answer"
    return text.replace("\n", "⏎").replace("\t", "⇥") or "∅"


def _chip(scores: TokenScores, word: Word) -> str:
    strength = min(abs(word.delta) / HEAT_CLIP, 1.0) if abs(word.delta) >= SAME_WITHIN else 0.0
    kind = "forget" if word.delta > 0 else "retain"
    lead = " " if word.text[:1].isspace() else ""
    style = f"--a:{HEAT_ALPHA * strength:.3f};--u:{round(3 * strength)}px"
    first = sum(v for v in scores.original[word.start:word.end] if v is not None)
    last = sum(v for v in scores.edited[word.start:word.end] if v is not None)
    label = f"{_visible(word.text.strip())}: probability {probability(first)}, after unlearning {probability(last)}"
    quiet = " lt-end" if _special(scores.tokens[word.start]) else ""
    return (f'{lead}<span class="lt-tok lt-tok-{kind}{quiet}" tabindex="0" style="{style}" '
            f'aria-label="{escape(label, quote=True)}">{escape(_visible(word.text.strip()))}'
            f'<span class="lt-tip" role="tooltip">{_detail(scores, word, first, last)}</span></span>')


def _detail(scores: TokenScores, word: Word, first: float, last: float) -> str:
    head = (f'<span class="lt-tip-head"><b>{escape(_visible(word.text.strip()))}</b> p {probability(first)} → '
            f'{probability(last)} <span class="lt-quiet">{factor(word.delta)}</span></span>')
    rows = "".join(_token_row(scores, position) for position in range(word.start, word.end))
    return head + rows


def _token_row(scores: TokenScores, position: int) -> str:
    token = _code(scores.tokens[position])
    p = f"p {probability(scores.original[position])} → {probability(scores.edited[position])}"
    rank = f"rank {scores.original_rank[position]:,} → {scores.edited_rank[position]:,}"
    return (f'<span class="lt-tip-row"><span class="lt-tip-token">{token}<span>{p}</span>'
            f'<span>{rank}</span></span>{_top("Original", "original", scores.top_original[position])}'
            f'{_top("Unlearned", "edited", scores.top_edited[position])}</span>')


def _top(title: str, kind: str, entries: list[list]) -> str:
    items = "".join(f'<span class="lt-top-item">{_code(str(token))}<span class="lt-top-p">{share:.2f}</span></span>'
                    for token, share in entries[:5])
    return f'<span class="lt-top"><span class="lt-top-title lt-{kind}">{title}</span>{items}</span>'


def _code(token: str) -> str:
    """One token as it is, its leading space visible."""
    text = _visible(spoken(token))
    return f"<code>{escape(text if _special(token) else text.replace(' ', '␣'))}</code>"


# Words --------------------------------------------------------------------------------------------------------------

def _spans(pieces: list[str], ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character spans of ranges of pieces; neighbours with only a blank between them become one."""
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if first == last:
            continue
        if merged and "".join(pieces).strip() and not "".join(pieces)[merged[-1][1]:offsets[first]].strip():
            merged[-1] = (merged[-1][0], offsets[last])
        else:
            merged.append((offsets[first], offsets[last]))
    return merged


def _marked(text: str, spans: list[tuple[int, int]], tag: str, expected: str) -> str:
    """`text` escaped, with <del> or <ins> around `spans` and the expected answer outlined by character offset."""
    outline = _expected_span(text, expected)
    cuts = sorted({0, len(text), *(edge for span in [*spans, *outline] for edge in span)})
    out = []
    for start, end in pairwise(cuts):
        piece = escape(text[start:end])
        if any(a <= start and end <= b for a, b in spans):
            piece = f"<{tag}>{piece}</{tag}>"
        if any(a <= start and end <= b for a, b in outline):
            piece = f'<span class="lt-expected">{piece}</span>'
        out.append(piece)
    return "".join(out)


def _outlined(text: str, expected: str) -> str:
    return _marked(text, [], "ins", expected)


def _expected_span(text: str, expected: str) -> list[tuple[int, int]]:
    target = expected.strip()
    if not target:
        return []
    found = re.search(rf"(?<!\w){re.escape(target)}(?!\w)", text, re.IGNORECASE)
    return [found.span()] if found else []


def _two(left: str, right: str, note: str) -> str:
    tail = f'<p class="lt-quiet lt-two-note">{escape(note)}</p>' if note else ""
    blank = '<span class="lt-quiet">(no answer)</span>'
    sides = "".join(f'<div class="lt-side lt-side-{kind}"><span class="lt-side-title">{title}</span>'
                    f'<p>{text or blank}</p></div>'
                    for kind, title, text in (("original", "Original", left), ("edited", "Unlearned", right)))
    return f'<div class="lt lt-two">{sides}{tail}</div>'
