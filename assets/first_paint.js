// What stands there before Gradio has drawn the right thing. Knows only its HTML.
// The page opens with the recorded run: its verdict is shown at once, and gives way to the page's own. Where another run is to be
// opened, the recorded one would stand under the other's address for as long as the server needs; a line of words covers it.
((verdict, elsewhere) => {
  "use strict";
  const query = new URLSearchParams(location.search);
  const run = query.get("run");
  const other = run ? run !== "recorded" : elsewhere || query.has("audit");
  const theme = query.get("__theme");
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const copy = document.createElement("div");
  copy.className = ["lethe-first", other && "lethe-opening", dark && "dark"].filter(Boolean).join(" ");
  copy.innerHTML = other ? '<p class="lt lt-opening" role="status">Opening the run\u2026</p>' : verdict;
  const there = other ? "#strip-words [data-run], #messages .lt" : "#verdict .lt-sentence";

  function follow() {
    if (!copy.isConnected && document.body) document.body.append(copy);
    if (document.querySelector(there)) leave();
  }

  function leave() {
    watch.disconnect();
    copy.remove();
  }

  const watch = new MutationObserver(follow);
  watch.observe(document.documentElement, { childList: true, subtree: true });
  if (other) setTimeout(leave, 30000); // whatever went wrong, the page can be used
})(window.letheVerdict, window.letheElsewhere);
