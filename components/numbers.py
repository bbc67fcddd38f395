"""How numbers are written on the page: per cent, points, factors, times; and how a seed is read. Pure; knows no events, no HTML."""

from __future__ import annotations

import math

from unlearn_core.config import LARGEST_SEED

NOT_MEASURED = "n/a"
SPACE = "\u00a0"
UNIT = f"{SPACE}%"
SAME_WITHIN = 0.2  # nats: below this two probabilities count as equal
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float | None) -> str:
    """0.994 -> "99.4 %", 0.38 -> "38 %"; one decimal only where whole numbers would claim "all" or "none"."""
    if share is None or not math.isfinite(share):
        return NOT_MEASURED
    value = 100 * share
    near_end = 0 < value < 1 or 99 < value < 100
    text = f"{value:.1f}" if near_end else f"{value:.0f}"
    if near_end and text in {"0.0", "100.0"}:
        text = "<0.1" if value < 1 else ">99.9"
    return f"{text}{UNIT}"


def interval(low: float, high: float) -> str:
    """Two shares in [0, 1] -> "1 to 5 %"."""
    return f"{100 * max(low, 0.0):.0f} to {100 * min(high, 1.0):.0f}{SPACE}%"


def points(difference: float, unit: str = "points") -> str:
    """A difference of shares -> "−81 points", with a true minus sign."""
    value = round(100 * difference, 1 if abs(difference) < 0.0095 else 0)
    sign = "±" if value == 0 else "+" if value > 0 else "−"
    return f"{sign}{abs(value):g}{SPACE}{unit}"


def points_interval(low: float, high: float) -> str:
    """Two differences of shares -> "−2.1 to +0.7 points"."""
    return f"{_signed_points(low)} to {_signed_points(high)}{SPACE}points"


def _signed_points(value: float) -> str:
    tenths = round(1000 * value) / 10
    return "0" if tenths == 0 else f"{'+' if tenths > 0 else '−'}{abs(tenths):.1f}"


def signed(value: float) -> str:
    """A plain number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def nats(difference: float) -> str:
    """A difference of log-probabilities -> "+0.31", "−48.56", "0.00", with a true minus sign."""
    text = f"{abs(difference):.2f}"
    return text if text == "0.00" else f"{'+' if difference > 0 else '−'}{text}"


def factor(nats: float) -> str:
    """How much less likely something is after losing `nats` of log-probability: "about 9,000 × less likely"."""
    if abs(nats) < SAME_WITHIN:
        return "as likely as before"
    direction = "less" if nats > 0 else "more"
    return f"about {_rounded(abs(nats))}{SPACE}× {direction} likely"


def _rounded(nats: float) -> str:
    if nats > math.log(1e12):
        return f"10{str(round(nats / math.log(10))).translate(_SUPERSCRIPTS)}"
    value = math.exp(nats)
    for word, scale in (("billion", 1e9), ("million", 1e6)):
        if value >= 0.95 * scale:
            return f"{float(f'{value / scale:.1g}'):g}{SPACE}{word}"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    digits = 10 ** (len(str(round(value))) - (2 if value < 100 else 1))
    return f"{round(value / digits) * digits:,}" if value >= 100 else f"{value:.0f}"


def probability(logprob: float | None) -> str:
    """A log-probability in nats -> "0.97", "0.002", "3·10⁻⁷"."""
    if logprob is None or not math.isfinite(logprob):
        return NOT_MEASURED
    value = math.exp(min(logprob, 0.0))
    if value >= 0.995:
        return "1.00" if value > 0.9995 else f"{value:.3f}"
    if value >= 0.01:
        return f"{value:.2f}"
    if value >= 0.0005:
        return f"{value:.3f}"
    exponent = math.floor(logprob / math.log(10))
    lead = round(math.exp(logprob - exponent * math.log(10)))
    lead, exponent = (1, exponent + 1) if lead == 10 else (lead, exponent)
    return f"{lead}·10⁻{str(-exponent).translate(_SUPERSCRIPTS)}"


def duration(seconds: float) -> str:
    """Seconds -> "8 s", "1 min 05 s", "2 h 10 min"."""
    whole = max(0, int(seconds + 0.5))
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60:02d}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60:02d}{SPACE}min"


def count(number: int) -> str:
    """1234567 -> "1.2 M"; 12,345 stays whole."""
    if number >= 1_000_000_000:
        return f"{number / 1e9:.1f}{SPACE}B"
    return f"{number / 1e6:.1f}{SPACE}M" if number >= 1_000_000 else f"{number:,}"


def size(byte_count: int) -> str:
    """Bytes -> "512 kB", "9.8 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if byte_count >= scale:
            return f"{byte_count / scale:.1f}{SPACE}{unit}"
    return f"{byte_count}{SPACE}B"


def seed_fault(text: str) -> str | None:
    """What is wrong with a seed as it was typed, in a sentence; None if nothing is."""
    sound = text.isdecimal() and len(text) <= len(str(LARGEST_SEED)) and int(text) <= LARGEST_SEED
    return None if sound else f"The seed is a whole number from 0 to {LARGEST_SEED}."
