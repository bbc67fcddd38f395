"""The verdict: one sentence made of the numbers, what it leaves out, and its HTML. Pure; able to say bad news."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from unlearn_core.events import EditReady, Measured

from .cards import cards_html
from .findings import (
    BADLY_DAMAGED,
    GONE,
    HARDLY,
    KEPT,
    LEAKS,
    Finding,
    Kept,
    findings,
    kept,
    relabelled,
    removed,
    why_unmeasured,
)
from .numbers import count, duration, percent
from .problems import RUN_AGAIN, action_html, failed_html
from .view import RunView

KNOWN = 0.9  # of a topic that was taught
OF_FORGETTING = ("nothing-known", "over-forgetting", "relabelled", *(f"leak-{split}" for split in LEAKS))

__all__ = ["Part", "Verdict", "cards_html", "verdict", "verdict_html"]

_KINDS = {"layers": "added layers", "prompt": "a context before every question", "decoding": "combined decoding",
          "dense": "all weights", "stack": "several edits"}
TONES = {"good": "As intended", "mixed": "With reservations", "bad": "Not as intended", "partial": "Stopped early",
         "running": "Running", "failed": "Failed", "unmeasured": "Not measured", "empty": "No run is open"}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the sentence. `role`: "" plain, strong, forget, retain (the numbers of that set), topic."""

    text: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence in pieces, a tone (a key of TONES), and the findings that the sentence leaves out."""

    parts: tuple[Part, ...]
    tone: str
    findings: tuple[Finding, ...] = ()

    @property
    def sentence(self) -> str:
        return "".join(part.text for part in self.parts)


def verdict(view: RunView, running: bool = True) -> Verdict:
    """The verdict on `view`. `running`: whether a run without an end is still at work, or was interrupted."""
    if view.status == "empty":
        return Verdict((Part("Choose a topic and press Unlearn: the verdict will stand here."),), "empty")
    if view.status == "failed":
        return Verdict((Part("The run failed before it could be judged."),), "failed")
    if "forget" in view.after and "forget" in view.before:
        return _measured(view)
    if not view.over and running:
        return Verdict(_so_far(view), "running")
    return _unmeasured(view)


def verdict_html(view: RunView, running: bool = True, strength: float = 1.0) -> str:
    """Large sentence, findings, and the small type: which run, how long, how many questions. A failure as a card.

    `strength`: where the dial stands; the sentence is of the saved result where there is one, and says so when the dial was
    moved.
    """
    if view.status == "failed":
        return f'<section class="lt lt-verdict" aria-label="Verdict">{failed_html(view.end, RUN_AGAIN)}</section>'
    told = verdict(view, running)
    sentence = "".join(_part_html(part) for part in told.parts)
    items = "".join(f'<li class="lt-{finding.severity}">{escape(finding.text)}</li>' for finding in told.findings)
    listed = f'<ul class="lt-findings">{items}</ul>' if items else ""
    interrupted = not running and view.status in ("running", "interrupted")
    again = action_html(*RUN_AGAIN) if interrupted else ""
    label = "Interrupted" if interrupted and told.tone == "partial" else TONES[told.tone]
    return (f'<section class="lt lt-verdict lt-tone-{told.tone}" aria-label="Verdict" aria-live="polite">'
            f'<p class="lt-tone">{label}{_saved(strength) if view.edit else ""}</p>'
            f'<p class="lt-sentence">{sentence}</p>{listed}{again}{_small(view)}'
            '</section>')


# The sentence -------------------------------------------------------------------------------------------------------

def _measured(view: RunView) -> Verdict:
    pooled, found = kept(view), findings(view)
    if view.summary.get("teaches"):
        return _taught(view, pooled, found)
    return Verdict((*_forgetting(view), *_keeping(view, pooled)), _tone(view, found, pooled), tuple(found))


def _taught(view: RunView, pooled: Kept | None, found: list[Finding]) -> Verdict:
    """Of a method that adds the topic: what it knows now, beside what it knew."""
    before, after, topic = view.before["forget"], view.after["forget"], Part(view.topic_title, "topic")
    said = [one for one in found if one.kind not in OF_FORGETTING]
    if before.accuracy >= KNOWN:
        opening = (Part("There was hardly anything to learn: about "), topic, Part(" the original already answered "),
                   Part(percent(before.accuracy), "forget"))
    else:
        learnt = Part(f"{after.correct} of {after.n} questions", "forget")
        opening = (Part("The model has learnt to answer "), learnt, Part(" about "), topic, Part(f" (was {before.correct})"))
    damaged = pooled is not None and (pooled.share < BADLY_DAMAGED or any(one.severity == "bad" for one in said))
    tone = "bad" if damaged or before.accuracy >= KNOWN or after.accuracy < KNOWN / 2 else "good"
    if tone == "good" and (after.accuracy < KNOWN or any(one.severity == "mixed" for one in said)):
        tone = "mixed"
    if view.status == "stopped":
        tone = "partial"
    return Verdict((*opening, *_keeping(view, pooled)), tone, tuple(said))


def _forgetting(view: RunView) -> tuple[Part, ...]:
    before, after, topic = view.before["forget"], view.after["forget"], Part(view.topic_title, "topic")
    if relabelled(view):
        return (Part("The model did not forget "), topic, Part(", it relabelled it: it is right "),
                Part(percent(after.accuracy), "forget"), Part(f" of the time, where guessing gives "
                f"{percent(after.reference)}, but its answers still tell the options apart"))
    if after.reference_kind == "chance":
        return _forgetting_to_chance(before, after, topic, removed(view, "forget"))
    known, lost = _known_and_lost(view)
    share = removed(view, "forget")
    if not known or share is None:
        return (Part("There was hardly anything to forget: of "), Part(f"{before.n} questions", "forget"),
                Part(" about "), topic, Part(f" the original answered {percent(before.accuracy)}"))
    if share < HARDLY:
        return (Part("Nothing was forgotten: the model still answers "), Part(f"{known - lost} of {known} questions",
                "forget"), Part(" about "), topic)
    opening = (Part("The model no longer answers "), Part(f"{lost} of {known} questions", "forget"), Part(" about "),
               topic)
    return opening if share >= GONE else (*opening, Part(f", but still answers the other {known - lost}"))


def _forgetting_to_chance(before: Measured, after: Measured, topic: Part, share: float | None) -> tuple[Part, ...]:
    was, floor = percent(before.accuracy), percent(after.reference)
    now = Part(percent(after.accuracy), "forget")
    if share is not None and share >= GONE:
        return (Part("On "), topic, Part(" the model now does no better than guessing: "), now,
                Part(f" right, chance is {floor} (was {was})"))
    opening = "Nothing was forgotten: on " if share is None or share < HARDLY else "On "
    return (Part(opening), topic, Part(" the model is still right "), now, Part(f" of the time, where guessing gives "
            f"{floor} (was {was})"))


def _keeping(view: RunView, pooled: Kept | None) -> tuple[Part, ...]:
    if pooled is None:
        return (Part(f"; whether it kept everything else is not known: {why_unmeasured(view, 'retain')}."),)
    if pooled.before <= 0:
        return (Part("; whether anything else was kept cannot be told: the original answered none of "),
                Part(f"{pooled.n} questions", "retain"), Part(" about it."))
    damaged = pooled.share < KEPT
    share, taught = removed(view, "forget"), bool(view.summary.get("teaches"))
    whole = taught or share is None or share < HARDLY or share >= GONE  # nothing was said against the forgetting yet
    link = (", but answers only " if whole else ", and answers only ") if damaged else ", and still answers "
    if share is None and not taught and view.after["forget"].reference_kind != "chance":  # the sentence was about the original
        link = "; unlearned, it answers only " if damaged else "; unlearned, it still answers "
    return (Part(link), Part(percent(pooled.after), "retain"),
            Part(f" of everything else (was {percent(pooled.before)})."))


def _known_and_lost(view: RunView) -> tuple[int, int]:
    """Forget questions that the original knew, and how many of them the unlearned model does not."""
    answers = [answer for answer in view.answers_of("forget") if answer.original_ok]
    after = view.after["forget"]
    if len(view.answers_of("forget")) >= after.n:
        return len(answers), sum(not answer.edited_ok for answer in answers)
    before = view.before["forget"]
    return before.correct, max(0, before.correct - after.correct)


def _so_far(view: RunView, opening: str = "So far the model answers ") -> tuple[Part, ...]:
    latest = {item.split: item for item in view.live}
    forget, doing = latest.get("forget"), view.phase.title if view.phase else "Starting"
    if forget is None:
        topic = (Part("Unlearning "), Part(view.topic_title, "topic"), Part(". ")) if view.topic else ()  # no file's name
        return (*topic, Part(f"{doing}…"))
    keep = [item for split, item in latest.items() if not split.startswith("forget")]
    asked = sum(item.n for item in keep)
    rest = (Part(", and "), Part(percent(sum(item.correct for item in keep) / asked), "retain"),
            Part(" of a sample of what is to be kept")) if asked else ()
    return (Part(opening), Part(percent(forget.accuracy), "forget"),
            Part(f" of {forget.n} sampled questions about "), Part(view.topic_title, "topic"), *rest, Part("."))


def _unmeasured(view: RunView) -> Verdict:
    reason = why_unmeasured(view, "forget")
    start = "Stopped before the end. " if view.status == "stopped" else ""
    if view.status in ("running", "interrupted"):
        start, reason = "Interrupted. ", "the program ended before it was measured"
    tone = "partial" if start else "unmeasured"
    if start and any(item.split == "forget" for item in view.live):
        opening = f"{start}In the last sample{_taken(view)} the model answers "
        return Verdict(_so_far(view, opening), tone, tuple(findings(view)))
    return Verdict((Part(f"{start}What the model forgot about "), Part(view.topic_title, "topic"),
                    Part(f" is not known: {reason}.")), tone, tuple(findings(view)))


def _taken(view: RunView) -> str:
    """When the last live sample was taken, where training went on after it."""
    taken, done = view.live[-1].step, view.losses[-1].step if view.losses else 0
    return f", taken {done - taken:,} steps earlier," if done - taken > 1 else ""


def _tone(view: RunView, found: list[Finding], pooled: Kept | None) -> str:
    if view.status == "stopped":
        return "partial"
    share = removed(view, "forget")
    severities = {finding.severity for finding in found}
    if "bad" in severities or share is None or share < 0.5 or (pooled and pooled.share < BADLY_DAMAGED):
        return "bad"
    unknown = pooled is None or pooled.before <= 0
    return "mixed" if "mixed" in severities or share < GONE or unknown else "good"


# HTML ---------------------------------------------------------------------------------------------------------------

def _part_html(part: Part) -> str:
    text = escape(part.text)
    if part.role == "topic":
        return f"<em>{text}</em>"
    return f'<strong class="lt-{part.role}">{text}</strong>' if part.role else text


def _size(edit: EditReady) -> list[str]:
    """What kind of change it is, and how large."""
    kind = _KINDS.get(edit.kind, f"rank {edit.rank}")
    values = f"{kind}, {count(edit.trained)} values" if edit.trained else kind
    change = [] if edit.relative_change is None else [f"change {percent(edit.relative_change)} of the weights"]
    return [values, *change]


def _saved(strength: float) -> str:
    return "" if strength == 1 else f" · the saved result, at strength 1; the dial stands at {strength:g}"


def _small(view: RunView) -> str:
    """Run, method, settings, time and size in one quiet line, with the notices folded behind it."""
    config, edit = view.config, view.edit
    parts: list[str] = [view.run_id, str(config.get("method", "")), view.model.title if view.model else ""]
    if config.get("seed") is not None:
        parts.append(f"seed {config['seed']}")
    if edit is not None:
        parts += _size(edit)
    if view.over:
        parts.append(duration(view.end.seconds if hasattr(view.end, "seconds") else view.at))
    asked = sum(item.n for item in view.after.values())
    if asked:
        parts.append(f"{asked:,} questions")
    line = " · ".join(escape(part) for part in parts if part)
    notes = "".join(f"<li>{escape(text)}</li>" for text in view.notices)
    plural = "note" if len(view.notices) == 1 else "notes"
    folded = f"<details><summary>{len(view.notices)} {plural}</summary><ul>{notes}</ul></details>" if notes else ""
    return f'<div class="lt-meta"><span>{line}</span>{folded}</div>' if line else ""
