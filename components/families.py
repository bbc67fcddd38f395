"""Lists to choose from by family, each entry with what it does: methods in the sidebar and in a race, attacks in an audit."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

# Gradio's list knows no headings. Its options are numbered as the choices are, so that each is given its line, and the first that
# is shown of a family the family's name; page.css writes both. Whatever is typed makes the list anew.
_HEADED = """
const all = JSON.parse(props.value || '[]');
let field = null;
const head = () => {
  let family = '';
  for (const option of field.querySelectorAll('li[data-index]')) {
    const entry = all[Number(option.dataset.index)];
    if (!entry) continue;
    option.dataset.line = entry.line;
    if (entry.family === family) delete option.dataset.family;
    else option.dataset.family = family = entry.family;
  }
};
document.addEventListener('focusin', ({target}) => {  // the list is there from then on, and may stand on the page later than this
  const found = all.length ? target.closest('#' + all[0].of) : null;
  if (!found || found === field) return;
  field = found;
  new MutationObserver(head).observe(field, {subtree: true, childList: true, attributeFilter: ['data-index']});
  head();
});
"""


class Headed(gr.HTML):
    """Family headings and a line under each option for the dropdown whose element is called `of`; shows nothing itself."""

    def __init__(self, entries: list[dict[str, Any]], of: str) -> None:
        lines = [{"of": of, "family": str(entry["family_title"]), "line": str(entry["summary"])} for entry in entries]
        super().__init__(value=json.dumps(lines), html_template="<i hidden></i>", js_on_load=_HEADED, visible="hidden")


def by_family(entries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The entries of each family, in the catalogue's order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        found.setdefault(str(entry["family"]), []).append(entry)
    return found


def boxes(entries: list[dict[str, Any]], chosen: list[str], prefix: str) -> dict[str, gr.CheckboxGroup]:
    """A list for each family, with a box for each entry: its title and what is to be known of it, a line each (see page.css)."""
    return {family: _boxes(f"{prefix}-{family}", group, chosen) for family, group in by_family(entries).items()}


def _boxes(elem_id: str, group: list[dict[str, Any]], chosen: list[str]) -> gr.CheckboxGroup:
    choices = [("\n".join((str(entry["title"]), *about(entry))), str(entry["name"])) for entry in group]
    return gr.CheckboxGroup(choices, value=[name for _, name in choices if name in chosen],
                            label=str(group[0]["family_title"]), elem_id=elem_id, elem_classes="family-boxes")


def about(entry: dict[str, Any]) -> list[str]:
    """What an entry does, its paper, what it needs and what it costs, as far as the catalogue says it."""
    said = [str(entry[key]) for key in ("summary", "paper") if entry.get(key)]
    needs = "; ".join(f"{word} {entry[key]}" for key, word in (("access", "needs"), ("cost", "costs")) if entry.get(key))
    return [*said, needs[:1].upper() + needs[1:]] if needs else said


def of_families(entries: list[dict[str, Any]], form: tuple[list[str] | None, ...]) -> tuple[str, ...]:
    """What is chosen in the lists of all families, in the catalogue's order."""
    chosen = {name for names in form for name in names or []}
    return tuple(str(entry["name"]) for entry in entries if entry["name"] in chosen)


def all_or_none(entries: list[dict[str, Any]], every: bool, prefix: str) -> dict[str, list[str]]:
    """The value of each family's list, by the name of its part, when all or none are to be chosen."""
    return {f"{prefix}_{family}": [str(entry["name"]) for entry in group] if every else []
            for family, group in by_family(entries).items()}
