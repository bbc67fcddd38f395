"""A plot that is updated in place while a run streams. Knows figures; nothing of runs.

`gr.Plot` mounts a new figure on every value and never frees the old one; this one calls `Plotly.react` on one node, so
zoom and hidden traces survive an update. plotly.js comes from the installed plotly package, never from the network.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def _script() -> Path:
    from importlib.util import find_spec

    return Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"


SCRIPT = _script()
gr.set_static_paths([SCRIPT])

# A hidden tab has no width: drawing waits until the observer sees one. Touch screens never show the mode bar, which
# would lie over the legend. On a page with a <base> plotly.js names clip paths and patterns by the whole address of that
# moment, and they are lost as soon as the address changes: for the first drawing there is no base.
_ON_LOAD = """
const node = element.querySelector('.live-plot');
const note = element.querySelector('.live-plot-empty');
const touch = window.matchMedia('(pointer: coarse)').matches;
const config = {responsive: false, displaylogo: false, displayModeBar: touch ? false : 'hover',
                modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'resetScale2d']]};
let drawn = null;
function draw() {
  note.style.display = props.value || !note.textContent ? 'none' : 'flex';
  node.style.display = props.value ? 'block' : 'none';
  if (!window.Plotly || !props.value || !node.clientWidth || drawn === props.value) return;
  const figure = JSON.parse(props.value);
  drawn = props.value;
  node.style.height = (figure.layout.height || Number(node.dataset.height)) + 'px';
  const base = node.dataset.wired ? null : document.querySelector('base[href]');
  const href = base?.getAttribute('href');
  base?.removeAttribute('href');
  Plotly.react(node, figure.data, {...figure.layout, width: node.clientWidth, autosize: false}, config);
  base?.setAttribute('href', href);
  if (node.dataset.wired) return;
  node.dataset.wired = 'yes';
  node.on('plotly_click', (event) => {
    const point = event.points[0];
    trigger('select', {x: point.x, y: point.y, data: point.customdata ?? null});
  });
}
new ResizeObserver(() => {
  if (drawn && node.clientWidth && drawn === props.value) Plotly.relayout(node, {width: node.clientWidth});
  else draw();
}).observe(element);
draw();
watch('value', draw);
"""


class LivePlot(gr.HTML):
    """Shows a plotly figure, or `empty` (a sentence) when the value is None. A click on a point triggers `select`.

    Where the words above a plot say already that it is empty, `empty` is left out.

    The event's data has `x`, `y` and `data` (the point's customdata or None). `height` is in CSS pixels and gives way
    to the figure's own.
    """

    def __init__(
        self, value: Any = None, *, height: int = 320, empty: str = "", label: str = "", **layout: Any
    ) -> None:
        # The template holds its own numbers and words: properties do not reach a plot in a tab that is mounted later.
        note = f'<div class="live-plot-empty" style="min-height:{height // 2}px"><p>{escape(empty)}</p></div>'
        node = f'class="live-plot" role="img" aria-label="{escape(label, quote=True)}" data-height="{height}"'
        super().__init__(
            value=value,
            html_template=f'{note}<div {node} style="height:{height}px"></div>',
            head=f'<script src="gradio_api/file={SCRIPT.as_posix()}"></script>',
            js_on_load=_ON_LOAD,
            **layout,
        )

    def postprocess(self, value: Figure | str | None) -> str | None:
        return value if value is None or isinstance(value, str) else value.to_json()

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "description": "a plotly figure as JSON"}
