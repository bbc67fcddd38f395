"""A picker that keeps the keyboard's place when it is drawn again."""

from __future__ import annotations

from typing import Any

from .picker import Picker

# What was focused is known by what it picks; a lone button follows another; `data-back` names the place to come back to.
_KEEP = """
let at = null;
element.addEventListener('focusin', (event) => { at = event.target.closest('[data-pick]')?.dataset.pick ?? null; });
element.addEventListener('focusout', (event) => { if (event.relatedTarget) at = null; });
function settle() {
  const lost = !document.activeElement || document.activeElement === document.body;
  const wanted = at ?? element.querySelector('[data-back]')?.dataset.back;
  if (!lost || !wanted) return;
  const buttons = [...element.querySelectorAll('button[data-pick]')];
  const target = buttons.find((node) => node.dataset.pick === wanted) ?? (buttons.length === 1 ? buttons[0] : null);
  target?.focus({preventScroll: at !== null});
}
// New HTML is fitted into the old: nodes stay where only their attributes change. What had the focus elsewhere may be gone only
// after this was drawn.
new MutationObserver(() => requestAnimationFrame(settle)).observe(element, {
  childList: true, subtree: true, attributes: true, attributeFilter: ['data-back', 'data-pick']});
"""


class Steady(Picker):
    """A `Picker` whose buttons keep the focus."""

    def __init__(self, value: str = "", **layout: Any) -> None:
        super().__init__(value, **layout)
        self.js_on_load = f"{self.js_on_load}{_KEEP}"
