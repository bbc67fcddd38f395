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
  trigger('select', {value: target.dataset.pick});
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

# The server names the view in a query string; other parameters of the address (a forced theme, say) stay.
_ADDRESS = """
const show = () => {
  document.documentElement.classList.remove('lethe-opening');
  if (!props.value) return;
  const query = new URLSearchParams(location.search);
  for (const name of ['run', 'tab', 'q', 'race', 'sequence', 'audit']) query.delete(name);
  for (const [name, value] of new URLSearchParams(props.value)) query.set(name, value);
  const text = query.toString();
  history.replaceState(history.state, '', location.pathname + (text ? '?' + text : ''));
};
watch('value', show);
"""


# Which buttons there are depends on this alone, in page.css: a stream of updates may not change a widget's properties,
# because Gradio's client applies the difference of the next message to one that it has not shown yet.
_STANDING = """
const show = () => { document.documentElement.dataset.run = props.value || 'idle'; };
show();
watch('value', () => {
  document.documentElement.classList.remove('lethe-opening');
  show();
});
"""


class Picker(gr.HTML):
    """HTML whose elements carry `data-pick`; picking one triggers `select` with `value` in the event's data.

    Selects within an element that carries `data-choose` trigger it too, with the list of their values.
    """

    def __init__(self, value: str = "", **layout: Any) -> None:
        super().__init__(value=value, js_on_load=_PICK, apply_default_css=False, **layout)


class Address(gr.HTML):
    """The query string of the page's own address, question mark included."""

    def __init__(self, **layout: Any) -> None:
        super().__init__(value=None, html_template="<i hidden></i>", js_on_load=_ADDRESS, **layout)


class Standing(gr.HTML):
    """How the open run stands: live, replay, over, or idle (nothing to stop and nothing to play again)."""

    def __init__(self, value: str = "idle", **layout: Any) -> None:
        super().__init__(value=value, html_template="<i hidden></i>", js_on_load=_STANDING, **layout)
