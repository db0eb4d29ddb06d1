"use strict";

// Copy the text of the element that a button names.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // not a secure context: Ctrl-C copies it
      button.textContent = "Selected";
    }
  });
}

// "/" goes to the search field, from a page without one to that of the items.
const field = document.querySelector("input[type=search]");
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || document.activeElement.matches("input, select")) return;
  event.preventDefault();
  field ? field.focus() : location.assign("/items#search");
});
if (location.hash === "#search") field?.focus();

// A clip that cannot be shown makes room for a link to the sentence that says why.
for (const clip of document.querySelectorAll("video")) {
  const missing = () => {
    const why = document.createElement("a");
    why.className = "missing";
    why.href = clip.src;
    why.textContent = "This clip cannot be shown: why?";
    clip.replaceWith(why);
  };
  if (clip.error) missing();
  else clip.addEventListener("error", missing);
}

// Clips are asked for once the page is drawn: until then the numbers have the server to themselves.
addEventListener("load", () => requestAnimationFrame(() => setTimeout(() => {
  for (const clip of document.querySelectorAll("video")) clip.preload = "metadata";
})));

// Clips without controls play while somebody points at them, or by Enter or Space.
for (const clip of document.querySelectorAll("video:not([controls])")) {
  const play = () => clip.play().catch(() => {}); // a clip that is not there
  clip.addEventListener("pointerenter", play);
  clip.addEventListener("pointerleave", () => clip.pause());
  clip.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // Space would scroll
    clip.paused ? play() : clip.pause();
  });
}
