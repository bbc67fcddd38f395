// What happens when the page is left. Must stand before Gradio's scripts: who listens first is asked first.
// Gradio cuts its streams itself when the page may be about to be left, and writes an error for each of them. The browser ends them
// anyway once the page has gone; and where it stays, because the address was that of a file, they must go on.
addEventListener("beforeunload", (event) => event.stopImmediatePropagation());
