"""HTML in which marked elements can be picked, and the address bar as a component. Knows nothing of what they show."""

from __future__ import annotations

from typing import Any

import gradio as gr

# One listener on the component's own node: it survives every new value. Enter and blank work as on a real button.
_PICK = """
const pick = (event) => {
  const target = event.target.closest('[data-pick]');
  if (!target || !element.contains(target)) return;
  event.preventDefault();
  trigger('select', {value: target.dataset.pick});
};
element.addEventListener('click', pick);
element.addEventListener('keydown', (event) => {
  const native = event.target.closest('button, a, input, summary');
  if (!native && (event.key === 'Enter' || event.key === ' ')) pick(event);
});
"""

# The server names the view in a query string; other parameters of the address (a forced theme, say) stay.
_ADDRESS = """
const show = () => {
  document.documentElement.classList.remove('lethe-opening');
  if (props.value === null || props.value === undefined) return;
  const query = new URLSearchParams(location.search);
  for (const name of ['run', 'tab', 'q']) query.delete(name);
  for (const [name, value] of new URLSearchParams(props.value)) query.set(name, value);
  const text = query.toString();
  history.replaceState(history.state, '', location.pathname + (text ? '?' + text : ''));
};
watch('value', show);
"""

from gradio.events import Dependency

class Picker(gr.HTML):
    """HTML whose elements carry `data-pick`; picking one triggers `select` with `value` in the event's data, and when it was
    picked: `at`, in milliseconds of the page's own clock.

    Selects within an element that carries `data-choose` trigger it too, with the list of their values.
    """

    def __init__(self, value: str = "", script: str = _PICK, **layout: Any) -> None:
        super().__init__(value=value, js_on_load=script, apply_default_css=False, **layout)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


class Address(gr.HTML):
    """The query string of the page's own address, question mark included."""

    def __init__(self, **layout: Any) -> None:
        super().__init__(value=None, html_template="<i hidden></i>", js_on_load=_ADDRESS, **layout)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
class Standing(gr.HTML):
    """How the open run stands: live, replay, over, or idle (nothing to stop and nothing to play again)."""

    def __init__(self, value: str = "idle", **layout: Any) -> None:
        super().__init__(value=value, html_template="<i hidden></i>", js_on_load=_STANDING, **layout)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

    
class KeptPicker(Picker):
    """A picker that keeps the keyboard's place when it is drawn again, and of two pictures (see `pictures.numbered`) the later one.

    Elements with `data-row` are its rows, each with a button; the document's event `lethe-move` goes `detail` rows on.
    """

    def __init__(self, value: str = "", **layout: Any) -> None:
        super().__init__(value, _PICK + _KEEP, html_template='<div class="kept"></div>', **layout)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

    
class Saved(gr.HTML):
    """A file for the browser to save, as JSON: `name`, `text`, and a `number` that makes it another than the one before."""

    def __init__(self, **layout: Any) -> None:
        super().__init__(value=None, html_template="<i hidden></i>", js_on_load=_SAVED, **layout)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

    