"""HTML in which things can be picked, and what the page as a whole shows: its address and how its run stands."""

from __future__ import annotations

from typing import Any

import gradio as gr

# One listener on the component's own node: it survives every new value. Enter and blank work as on a real button.
_PICK = """
const pick = (event) => {
  const target = event.target.closest('[data-pick]');
  if (!target || !element.contains(target)) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a link may be opened elsewhere
  event.preventDefault();
  trigger('select', {value: target.dataset.pick, at: performance.now()});
};
element.addEventListener('click', pick);
element.addEventListener('change', (event) => {
  const group = event.target.closest('[data-choose]');
  if (group) trigger('select', {value: [...group.querySelectorAll('select')].map((choice) => choice.value)});
});
element.addEventListener('keydown', (event) => {
  const native = event.target.closest('button, a, input, summary');
  if (!native && (event.key === 'Enter' || event.key === ' ')) pick(event);
});
"""

# A new value brings new elements: the focus goes to the one that stands where it was. J and K move it from row to row, on to the
# next page, and with it the row that is unfolded. Two answers of the server may overtake each other on their way, so a picture says
# which it is, and an earlier one never replaces a later one.
_KEEP = """
const PAUSE = 60;  // milliseconds: whoever holds J down opens the row where it ends, not all on the way
let kept = null, turned = null, unfolded = null, upward = false, following = 0;
let latest = -1, shown = '';
const rows = () => [...element.querySelectorAll('[data-row]')];
const openRow = (among) => among.find((row) => row.classList.contains('open'));
element.addEventListener('focusin', ({target}) => {
  const button = target.closest('[data-pick]');
  kept = {row: target.closest('[data-row]')?.dataset.row, id: button?.id, pick: button?.dataset.pick};
});
element.addEventListener('focusout', ({relatedTarget}) => {
  if (relatedTarget && !element.contains(relatedTarget)) kept = null;
});
element.addEventListener('click', ({target}) => { upward = Boolean(target.closest('nav [data-pick]')); });
document.addEventListener('pointerdown', ({target}) => { if (!element.contains(target)) kept = null; });

function standIn() {
  if (kept.row) return rows().find((row) => row.dataset.row === kept.row)?.querySelector('button');
  const picks = [...element.querySelectorAll('button[data-pick]')];
  return picks.find((node) => kept.id && node.id === kept.id) || picks.find((node) => node.dataset.pick === kept.pick);
}
function go(row, follow) {
  row.querySelector('button').focus({preventScroll: true});
  row.scrollIntoView({block: 'nearest'});
  clearTimeout(following);
  const value = 'open:' + row.dataset.row, at = performance.now();
  if (follow) following = setTimeout(() => trigger('select', {value, at}), PAUSE);
}
function settle() {
  const all = rows(), page = element.querySelector('[data-page]')?.dataset.page;
  if (turned && turned.page === page && all.length) {
    const {step, follow} = turned;
    turned = null;
    return go(step > 0 ? all[0] : all.at(-1), follow);
  }
  const lost = !document.activeElement || document.activeElement === document.body;
  if (lost && kept) standIn()?.focus({preventScroll: true});
  if (upward) element.scrollIntoView({block: 'start'});
  upward = false;
  const open = openRow(all);
  if (open && open.dataset.row !== unfolded) open.nextElementSibling?.scrollIntoView({block: 'nearest'});
  unfolded = open?.dataset.row;
}
function draw() {
  const [, number, html] = /^<!--([0-9]+)-->([^]*)$/.exec(props.value || '') || ['', '0', props.value || ''];
  if (Number(number) < latest) return;
  latest = Number(number);
  if (html === shown) return;
  shown = html;
  element.querySelector('.kept').innerHTML = html;
  settle();
}
draw();
watch('value', draw);
document.addEventListener('lethe-move', ({detail: step}) => {
  const all = rows();
  if (!element.isConnected || !all.length || all[0].offsetParent === null) return;
  const open = openRow(all), follow = Boolean(open);
  const here = all.findIndex((row) => row.dataset.row === kept?.row);
  const to = (here >= 0 ? here : open ? all.indexOf(open) : step > 0 ? -1 : 1) + step;
  if (all[to]) return go(all[to], follow);
  const turn = element.querySelector(step > 0 ? '#question-next' : '#question-previous');
  if (!turn || turn.disabled || turned) return;
  turned = {page: turn.dataset.pick.slice('page:'.length), step, follow};
  clearTimeout(following);
  trigger('select', {value: turn.dataset.pick, at: performance.now()});
});
"""

# The server names the view in a query string; other parameters of the address (a forced theme, say) stay. Another run, opened by
# whoever is at the page, is a step for the browser's Back, which opens the page of the one before; that of the recorded run is
# named then, since an address without a run is that of whatever is at work. What a page opens by itself takes the place of the
# address that it came by, and so does another tab or question of the same run.
_ADDRESS = """
const go = (how, query) => {
  const text = query.toString();
  how.call(history, history.state, '', location.pathname + (text ? '?' + text : ''));
};
let shown = location.search;
const show = () => {
  if (!props.value) return;
  const here = new URLSearchParams(location.search), query = new URLSearchParams(location.search);
  for (const name of ['run', 'tab', 'q', 'race', 'sequence', 'audit']) query.delete(name);
  for (const [name, value] of new URLSearchParams(props.value)) query.set(name, value);
  const step = query.get('run') !== here.get('run') && navigator.userActivation?.hasBeenActive;
  if (step && !here.get('run')) {
    here.set('run', 'recorded');
    go(history.replaceState, here);
  }
  go(step ? history.pushState : history.replaceState, query);
  shown = location.search;
};
watch('value', show);
addEventListener('popstate', () => { if (location.search !== shown) location.reload(); });
"""


_SAVED = """
watch('value', () => {
  if (!props.value) return;
  const {name, text} = JSON.parse(props.value);
  window.lethe.save(name, text);
});
"""


# Which buttons there are depends on this alone, in page.css: a stream of updates may not change a widget's properties,
# because Gradio's client applies the difference of the next message to one that it has not shown yet. A tab that follows no run
# asks from time to time whether one is at work elsewhere.
_STANDING = """
const EVERY = 4000;  // milliseconds
const show = () => {
  document.documentElement.dataset.run = props.value || 'idle';
  if (props.value === 'live') delete document.documentElement.dataset.pressed;
};
show();
watch('value', show);
setInterval(() => {
  if (element.isConnected && !document.hidden && props.value !== 'live') trigger('select', {});
}, EVERY);
"""


class Picker(gr.HTML):
    """HTML whose elements carry `data-pick`; picking one triggers `select` with `value` in the event's data, and when it was
    picked: `at`, in milliseconds of the page's own clock.

    Selects within an element that carries `data-choose` trigger it too, with the list of their values.
    """

    def __init__(self, value: str = "", script: str = _PICK, **layout: Any) -> None:
        super().__init__(value=value, js_on_load=script, apply_default_css=False, **layout)


class KeptPicker(Picker):
    """A picker that keeps the keyboard's place when it is drawn again, and of two pictures (see `pictures.numbered`) the later one.

    Elements with `data-row` are its rows, each with a button; the document's event `lethe-move` goes `detail` rows on.
    """

    def __init__(self, value: str = "", **layout: Any) -> None:
        super().__init__(value, _PICK + _KEEP, html_template='<div class="kept"></div>', **layout)


class Saved(gr.HTML):
    """A file for the browser to save, as JSON: `name`, `text`, and a `number` that makes it another than the one before."""

    def __init__(self, **layout: Any) -> None:
        super().__init__(value=None, html_template="<i hidden></i>", js_on_load=_SAVED, **layout)


class Address(gr.HTML):
    """The query string of the page's own address, question mark included."""

    def __init__(self, **layout: Any) -> None:
        super().__init__(value=None, html_template="<i hidden></i>", js_on_load=_ADDRESS, **layout)


class Standing(gr.HTML):
    """How the open run stands: live, replay, over, or idle (nothing to stop and nothing to play again).

    `select` comes every few seconds while no run is followed: one may be at work elsewhere, or no longer.
    """

    def __init__(self, value: str = "idle", **layout: Any) -> None:
        super().__init__(value=value, html_template="<i hidden></i>", js_on_load=_STANDING, **layout)
