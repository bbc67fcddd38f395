// What the page does by itself in the browser: the keyboard, copying, explanations in sight, and the sidebar on a phone. Knows no
// run.
(() => {
  "use strict";
  const NARROW = 768; // CSS pixels
  const BESIDE = 20; // CSS pixels by which an explanation may be wider than what it stands in
  const MODES = { 1: "heat", 2: "words", 3: "plain" };
  const HELP = [["Enter", "ask both models"], ["Esc", "stop the answers"], ["1 2 3", "Heat, Words, Plain"],
                ["J K", "next and previous question"], ["/", "go to the question, or the search"], ["?", "this list"]];

  function say(text) {
    const note = document.createElement("div");
    note.className = "lethe-note";
    note.setAttribute("role", "status");
    note.textContent = text;
    document.body.append(note);
    setTimeout(() => note.remove(), 1800);
  }

  async function copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https the clipboard is closed to scripts, except for a selection.
      const box = document.createElement("textarea");
      box.value = text;
      box.style.position = "fixed";
      box.style.opacity = "0";
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
    }
    say(done);
  }

  function save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);  // the browser may be slow to begin
    say(`Saved as ${name}`);
  }

  function help() {
    const open = document.querySelector("dialog.lethe-help");
    if (open) return open.remove();
    const box = document.createElement("dialog");
    box.className = "lethe-help";
    const list = document.createElement("dl");
    for (const [key, meaning] of HELP) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = key;
      text.textContent = meaning;
      list.append(term, text);
    }
    box.append(list);
    box.addEventListener("close", () => box.remove());
    box.addEventListener("click", () => box.close());
    document.querySelector(".gradio-container").append(box);
    box.showModal();
  }

  const seen = (node) => node && node.offsetParent !== null;
  const typing = (node) => node && (node.isContentEditable || /^(TEXTAREA|SELECT)$/.test(node.tagName)
    || (node.tagName === "INPUT" && !/^(radio|checkbox|range|button)$/.test(node.type)));

  // A question that was just sent: its Stop is not there yet.
  const SOON = 2000; // milliseconds
  let asked = 0;
  const sent = (event) => {
    const enter = event.type === "keydown" && event.key === "Enter" && event.target.closest?.("#question");
    if (enter || (event.type === "click" && event.target.closest?.("#send, #chips"))) asked = Date.now();
  };
  document.addEventListener("keydown", sent, true);
  document.addEventListener("click", sent, true);

  function once(ready, act, until = Date.now() + SOON) {
    if (ready()) act();
    else if (Date.now() < until) setTimeout(once, 50, ready, act, until);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      const stop = document.querySelector("#stop-ask");
      if (seen(stop)) stop.click();
      else if (Date.now() - asked < SOON) once(() => seen(stop), () => stop.click());
      return;
    }
    if (typing(event.target)) return;
    if (MODES[event.key]) {
      const choices = [...document.querySelectorAll(`.way input[value="${MODES[event.key]}"]`)];
      choices.find((choice) => seen(choice.closest("label")))?.click();
    } else if (/^[jk]$/i.test(event.key)) {
      document.dispatchEvent(new CustomEvent("lethe-move", { detail: event.key.toLowerCase() === "j" ? 1 : -1 }));
    } else if (event.key === "/") {
      const boxes = ["#question", "#question-search"].map((id) => document.querySelector(`${id} textarea, ${id} input`));
      const box = boxes.find(seen);
      if (box) { event.preventDefault(); box.focus(); }
    } else if (event.key === "?") {
      help();
    }
  });

  // What the button of an error card names: opened where it is folded away, pressed where it is a button or takes a file, and else
  // ready to be typed in.
  function lead(selector) {
    const place = document.querySelector(selector);
    if (!place) return;
    const drawer = place.closest(".sidebar");
    if (drawer && !drawer.classList.contains("open")) drawer.querySelector(".toggle-button")?.click();
    for (let node = place; node; node = node.parentElement) {
      const fold = node.querySelector(":scope > button.label-wrap");
      if (fold && !fold.classList.contains("open")) fold.click();
    }
    if (place.tagName === "BUTTON") return place.click();
    setTimeout(() => {
      place.scrollIntoView({ block: "start" });
      const file = place.querySelector('input[type="file"]');
      if (file) return file.click();
      place.querySelector("textarea, input, select, button:not(.label-wrap)")?.focus({ preventScroll: true });
    }, 300);  // what was folded away is on its way
  }
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-go]");
    if (button) lead(button.dataset.go);
  });

  // Gradio opens a list once more for the very Tab that leaves it, and it would stay open over what is below. A list that scrolls
  // would take the focus with it where it closes.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Tab" || !event.target.matches?.('input[role="combobox"]')) return;
    event.stopImmediatePropagation();
    document.getElementById(event.target.getAttribute("aria-controls"))?.setAttribute("tabindex", "-1");
  }, true);

  // What is typed into a list to choose from takes the place of what was chosen.
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches?.("#topic input, #method input, #metrics-of input")) target.select();
  });

  // An explanation that would leave the window, or go behind the sidebar, is moved into it; to the other side of its mark where
  // there is no room above or below.
  function inSight(event) {
    const mark = event.target.closest?.(".lt-info, .lt-tok");
    const text = mark?.querySelector(".lt-info-text, .lt-tip");
    if (!text) return;
    text.style.translate = "";
    const [box, at, around] = [text, mark, mark.closest("main") || document.body].map((node) => node.getBoundingClientRect());
    const within = (least, wished, most) => Math.max(least, Math.min(wished, most));
    const away = box.top < 0 ? at.bottom + 8 - box.top : box.bottom > innerHeight ? at.top - 8 - box.bottom : 0;
    const x = within(around.left - BESIDE - box.left, 0, around.right + BESIDE - box.right);
    text.style.translate = `${x}px ${within(-box.top, away, innerHeight - box.bottom)}px`;
  }
  document.addEventListener("pointerover", inSight);
  document.addEventListener("focusin", inSight);

  // An open sidebar would cover a phone's whole screen. It cannot be closed before the page has come alive.
  const tidy = setInterval(() => {
    const drawer = document.querySelector(".sidebar");
    if (!drawer) return;
    if (innerWidth <= NARROW && drawer.classList.contains("open")) return drawer.querySelector(".toggle-button")?.click();
    document.documentElement.classList.add("lethe-ready");
    clearInterval(tidy);
  }, 100);

  // What was started from a phone's sidebar is watched behind it; a refusal is said in it.
  document.addEventListener("click", (event) => {
    if (innerWidth > NARROW || !event.target.closest?.("#start")) return;
    const until = Date.now() + 10000;
    const leave = setInterval(() => {
      const drawer = document.querySelector(".sidebar.open");
      const live = document.querySelector('[data-run="live"]');
      if (drawer && live) drawer.querySelector(".toggle-button")?.click();
      if (!drawer || live || Date.now() > until) clearInterval(leave);
    }, 200);
  });

  // The first of these that is on the page, scrolled into sight.
  function show(...selectors) {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    const go = () => selectors.map((selector) => document.querySelector(selector)).find(seen)
      ?.scrollIntoView({ block: "start", behavior });
    go();
    setTimeout(go, 1200);  // what is to come below may have made the page long enough only now
  }

  // What has just come on to the page, brought into sight if it is out of it.
  function reveal(selector) {
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    const go = () => [document.querySelector(selector)].find(seen)?.scrollIntoView({ block: "nearest", behavior });
    setTimeout(go, 50);
  }

  window.lethe = { copy, save, show, reveal };
})();
