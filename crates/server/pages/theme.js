// The light or dark theme: the system's until the user chooses the other one.
//
// Loaded before the first paint so that a dark page does not flash white. The colours are in style.css.

import { recall, remember } from "./memory.js";

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark now. */
export function isDark() {
  const chosen = recall("theme");
  return chosen === "dark" || (chosen !== "light" && systemIsDark.matches);
}

/** Changes to the other theme. Choosing what the system has anyway means to follow the system again. */
export function toggleTheme() {
  const dark = !isDark();
  remember("theme", dark === systemIsDark.matches ? null : dark ? "dark" : "light");
  applyTheme();
}

/** Calls `listener` whenever the system changes its theme. */
export function onSystemTheme(listener) {
  systemIsDark.addEventListener("change", listener);
}

function applyTheme() {
  const chosen = recall("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

applyTheme();
