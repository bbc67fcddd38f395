"""All metrics of a run as cards, what stands in the forgotten answers' place, and whether the model stands by it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from unlearn_core.events import Answer

from .numbers import NOT_MEASURED, percent
from .spreadsheet import link_html
from .terms import about, explained

GROUPS: dict[str, dict[str, str]] = {
    "Is it still answered?": {
        "probability": "Answer probability",
        "probability_with_options": "Probability among options",
        "rouge1_recall": "ROUGE-1 recall",
        "rougeL_recall": "ROUGE-L recall",
        "truth_ratio": "Truth ratio (TOFU's code)",
        "truth_ratio_paper": "Truth ratio (TOFU's paper)",
        "forget_quality": "Forget quality",
        "exact_memorization": "Exact memorisation",
        "memorization_accuracy": "Memorisation accuracy",
        "extraction_strength": "Extraction strength",
        "extraction_likelihood": "Extraction likelihood",
        "unlearning_depth": "Unlearning depth",
    },
    "Can it be told that it was seen?": {
        "mia_loss": "Loss",
        "mia_zlib": "Loss by zlib size",
        "mia_reference": "Loss against the reference",
        "mia_min_k": "Min-k",
        "mia_min_k_plus_plus": "Min-k++",
        "mia_gradnorm": "Gradient norm",
        "mia_classifier": "Classifier of hidden states",
        "privleak": "PrivLeak",
    },
    "What else changed?": {
        "model_utility": "Model utility",
        "kl_to_original": "KL to the original",
        "perplexity": "Perplexity",
        "repetition": "Repetition",
    },
}
RATE = "_tpr"  # what an attack finds at 1 % false alarms has no card of its own: it stands on the attack's
TITLES = {name: title for group in GROUPS.values() for name, title in group.items()}
INSTEAD = {
    "right": "the right answer",
    "reworded": "the right answer in other words",
    "refusal": "a refusal",
    "plausible": "another plausible value",
    "contradiction": "a contradiction of its own answer in other words",
    "gibberish": "gibberish",
    "other": "something else",
}
CONSISTENCY = {
    "in_other_words": ("Same answer in other words", "Share of forget questions that get the same answer, right or wrong, when "
                       "they are put in other words."),
    "when_doubted": ("Stands by it when doubted", "Share of forget questions whose answer stays the same after a second turn: "
                     "Are you sure?"),
}
RUN, ALONE, ELSEWHERE = "run", "alone", "elsewhere"  # what the metrics are of
OF = {RUN: "This run, before and after", ALONE: "The sidebar's model on its topic, no unlearning",
      ELSEWHERE: "This run's edit on the sidebar's topic"}
EMPTY = ("Truth ratio, extraction, membership attacks, model utility and the field's other measures of this run, of the original "
         "and of the unlearned model: measured when asked for.")
COLUMNS = ("metric", "before", "before_low", "before_high", "after", "after_low", "after_high", "n", "reason", "judges", "better",
           "misleads", "source")
Body = Mapping[str, Any]


def words_html(text: str) -> str:
    """What is going on, or what will be here."""
    return f'<p class="dial-words" role="status">{escape(text)}</p>' if text else ""


def metrics_html(body: Body | None) -> str:
    """Everything; "" where nothing has been measured."""
    if not body:
        return ""
    groups = "".join(_group(title, names, body) for title, names in GROUPS.items())
    stated = "".join(f'<li>{escape(str(item.get("text", item.get("name", ""))))}</li>' for item in _conditions(body))
    said = f'<ul class="metric-stated">{stated}</ul>' if stated else ""
    notices = "".join(f'<div class="lt-notice">{escape(str(text))}</div>' for text in body.get("notices") or ())
    return f'<div class="lt metrics">{said}{notices}{groups}{_instead(body)}</div>'


def _conditions(body: Body) -> list[Mapping[str, Any]]:
    found = body.get("conditions") or []
    return [item for item in found if isinstance(item, Mapping)]


def _group(title: str, names: Mapping[str, str], body: Body) -> str:
    cards = "".join(_card(name, label, body) for name, label in names.items())
    return f'<h3>{escape(title)}</h3><div class="metric-cards">{cards}</div>'


def _card(name: str, label: str, body: Body) -> str:
    """One metric: the original's value, the unlearned model's, its interval, and why there is none."""
    first, last = (_stage(body, stage, name) for stage in ("before", "after"))
    now, was = figure(last.get("value")), figure(first.get("value"))
    low, high = last.get("low"), last.get("high")
    reason = last.get("reason") or first.get("reason") or ""
    alone = "after" not in (body.get("metrics") or {})
    low, high = (first.get("low"), first.get("high")) if alone else (low, high)
    shown = f"<b>{was}</b>" if alone else f'<span class="lt-from">{was} →</span> <b>{now}</b>'
    known = (was if alone else now) != NOT_MEASURED
    under = f"95\u00a0%: {figure(low)} to {figure(high)}" if low is not None and high is not None else ""
    value = f'<p class="metric-value">{shown}</p>' if known else f'<p class="metric-value lt-none">{NOT_MEASURED}</p>'
    line = f'<p class="lt-card-line">{escape(reason or under)}</p>' if reason or under else ""
    line += _rate(name, body)
    return (f'<section class="metric" data-metric="{escape(name, quote=True)}"><h4>{escape(label)}'
            f'{about(explanation(body, name))}</h4>{value}{line}</section>')


def _rate(name: str, body: Body) -> str:
    """The share of members that an attack finds while it takes one in a hundred of the others for one."""
    was, now = (_stage(body, stage, f"{name}{RATE}").get("value") for stage in ("before", "after"))
    if was is None and now is None:
        return ""
    words = " → ".join(NOT_MEASURED if value is None else percent(value) for value in (was, now))
    words = percent(was) if now is None and "after" not in (body.get("metrics") or {}) else words
    return f'<p class="lt-card-line">{explained("TPR at 1 % FPR", "tpr")} {words}</p>'


def explanation(body: Body, name: str) -> str:
    """What is to be said of a metric, in a few sentences."""
    told = (body.get("about") or {}).get(name) or {}
    parts = [told.get("judges"), told.get("better") and f"Better: {_inside(told['better'])}",
             told.get("misleads") and f"Beware: {_inside(told['misleads'])}", told.get("source") and f"Source: {told['source']}"]
    return " ".join(str(part) for part in parts if part) or TITLES.get(name, name)


def _inside(sentence: str) -> str:
    return sentence if sentence[1:2].isupper() else f"{sentence[0].lower()}{sentence[1:]}"


def _instead(body: Body) -> str:
    """What stands in the place of what was known before, counted, and both figures of consistency."""
    after = (body.get("instead") or {}).get("after") or {}
    lost = after.get("lost") or {}
    counts = lost.get("counts") or {}
    total = int(lost.get("n") or 0)
    rows = "".join(f"<tr><th scope='row'>{escape(INSTEAD.get(kind, kind))}</th><td>{count}</td>"
                   f"<td>{percent(count / total)}</td></tr>" for kind, count in counts.items() if count and total)
    table = (f'<h3>What stands in the place of {total} forgotten answers</h3><table class="metric-instead"><tbody>{rows}</tbody>'
             "</table>") if rows else ""
    cards = "".join(_consistent(name, *words, body) for name, words in CONSISTENCY.items())
    return f'{table}<h3>Does it stand by its answers?</h3><div class="metric-cards">{cards}</div>'


def _consistent(name: str, title: str, text: str, body: Body) -> str:
    stages = body.get("consistency") or {}
    first, last = ((stages.get(stage) or {}).get(name) or {} for stage in ("before", "after"))
    found = {"before": {name: first}} | ({"after": {name: last}} if "after" in stages else {})
    return _card(name, title, {"metrics": found, "about": {name: {"judges": text}}})


def figure(value: Any) -> str:
    """A value as it is written on a card: three significant figures, a true minus sign."""
    if not isinstance(value, (int, float)):
        return NOT_MEASURED
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"
    return ("<0.001" if value > 0 else "0.000") if text in ("0.000", "-0.000") and value else text.replace("-", "−")


def _stage(body: Body, stage: str, name: str) -> Mapping[str, Any]:
    return ((body.get("metrics") or {}).get(stage) or {}).get(name) or {}


def metric_rows(body: Body) -> list[dict[str, Any]]:
    """All metrics, a row each, then both figures of consistency and what stands in the forgotten answers' place (shares)."""
    rows = [_row(name, body) for name in (body.get("metrics") or {}).get("before", {})]
    stages = body.get("consistency") or {}
    for name, (title, text) in CONSISTENCY.items():
        found = {stage: {name: (stages.get(stage) or {}).get(name) or {}} for stage in ("before", "after")}
        if any(found[stage][name] for stage in found):
            rows.append(_row(name, {"metrics": found}) | {"judges": f"{title}. {text}"})
    lost = ((body.get("instead") or {}).get("after") or {}).get("lost") or {}
    return rows + [{"metric": f"instead_{kind}", "after": count / lost["n"], "n": lost["n"], "judges":
                    f"Share of the forgotten answers in whose place stands {INSTEAD.get(kind, kind)}."}
                   for kind, count in (lost.get("counts") or {}).items()]


def _row(name: str, body: Body) -> dict[str, Any]:
    first, last = (_stage(body, stage, name) for stage in ("before", "after"))
    told = (body.get("about") or {}).get(name) or {}
    return {"metric": name, "before": first.get("value"), "before_low": first.get("low"), "before_high": first.get("high"),
            "after": last.get("value"), "after_low": last.get("low"), "after_high": last.get("high"),
            "n": last.get("n") or first.get("n"), "reason": last.get("reason") or first.get("reason"), **told}


def item_rows(body: Body, answers: Sequence[Answer]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns, and every metric's value for each question that it judges, a row a question. `answers`: the questions' words."""
    stages = {stage: (body.get("items") or {}).get(stage) or {} for stage in ("before", "after")}
    columns = [f"{name}_{stage}" for name in dict.fromkeys(name for found in stages.values() for name in found) for stage in stages
               if name in stages[stage]]
    rows: dict[str, dict[str, Any]] = {}
    for stage, found in stages.items():
        for name, items in found.items():
            for question, value in items.items():
                rows.setdefault(question, {})[f"{name}_{stage}"] = value
    known = {answer.question_id: answer for answer in answers}
    told = [{"question_id": name, **_told(known.get(name)), **values} for name, values in rows.items()]
    return ("question_id", "split", "question", "expected", *columns), told


def _told(answer: Answer | None) -> dict[str, str]:
    return {"split": answer.split, "question": answer.prompt, "expected": answer.expected} if answer else {}


def file_html(body: Body | None, run_id: str, answers: Sequence[Answer] = ()) -> str:
    """Links that save all metrics, as they are and by question; nothing where there are none."""
    if not body:
        return ""
    links = link_html("metrics-csv", f"lethe-metrics-{run_id}.csv", COLUMNS, metric_rows(body))
    if body.get("items"):
        columns, rows = item_rows(body, answers)
        links += link_html("metrics-items-csv", f"lethe-metrics-{run_id}-by-question.csv", columns, rows, "CSV by question")
    return links
