// The verdict before Gradio has drawn anything: a plain copy, until the page's own stands. Knows only its HTML.
((verdict) => {
  "use strict";
  const query = new URLSearchParams(location.search);
  if (query.get("run")) return; // another run is to be opened
  const theme = query.get("__theme");
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  const copy = document.createElement("div");
  copy.className = dark ? "lethe-first dark" : "lethe-first";
  copy.innerHTML = verdict;

  function follow() {
    if (!copy.isConnected && document.body) document.body.append(copy);
    if (document.querySelector("#verdict .lt-sentence")) {
      watch.disconnect();
      copy.remove();
    }
  }

  const watch = new MutationObserver(follow);
  watch.observe(document.documentElement, { childList: true, subtree: true });
})(window.letheVerdict);
