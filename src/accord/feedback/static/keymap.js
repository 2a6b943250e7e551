// Which key does what: pure tables, so that they are tested without a page.

/** Keys nobody has changed, action to key; the server holds the same list and says which are somebody's own. */
export const DEFAULTS = {
  submit: "Enter", left: "ArrowLeft", right: "ArrowRight", skip: "s", guidelines: "g", diff: "d", raw: "r",
  scroll: "y", side: "x", edit: "e", finish: "f", undo: "u", history: "h", break: "b", keys: "?",
};

/** A key as the table names it: letters small, so that capitals are the same keys. */
export function nameOf(press) {
  return press.key.length === 1 ? press.key.toLowerCase() : press.key;
}

/**
 * The action of a key press, or null: none with a modifier or when a key repeats. `place` is where the focus is:
 * "typing" in a text field (only Escape, and Control with Enter), "marking" in a text that is being marked (digits
 * choose a label), "dialog" in front of the page (only the key of `keys`), "skip" among the reasons for a skip
 * (digits choose one), "scale" on a row of radio buttons that is not the verdict (digits and arrows are its own),
 * else "page". `keys` is action to key.
 */
export function actionOf(press, place = "page", keys = DEFAULTS) {
  const key = nameOf(press);
  if (place === "typing" && key === "Enter" && (press.ctrlKey || press.metaKey)) return { name: "submit" };
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  if (place === "typing") return key === "Escape" ? { name: "leave" } : null;
  if (place === "dialog") return key === keys.keys ? { name: "keys" } : null;
  if (/^[0-9]$/.test(key)) {
    const name = { scale: "rate", skip: "reason", marking: "mark" }[place] ?? "grade";
    return { name, grade: Number(key) };
  }
  if (key === "Escape") return { name: { skip: "skip", marking: "leave" }[place] ?? "close" };
  if (place === "skip") return key === keys.skip ? { name: "skip" } : null;
  if (place === "marking" && (press.key.startsWith("Arrow") || press.shiftKey)) return null;
  if (place === "scale" && press.key.startsWith("Arrow")) return null;
  if (press.shiftKey && key === keys.submit) return { name: "submit", isLast: true };
  const found = Object.keys(keys).find((name) => keys[name] === key);
  return found ? { name: found } : null;
}

/** The grade one step from the chosen one along those offered; from the middle where none is chosen. */
export function stepFrom(offered, chosen, step) {
  const grades = offered.filter((grade) => grade > 0).sort((a, b) => a - b);
  if (!grades.length) return null;
  const at = grades.indexOf(chosen);
  if (at < 0) return grades[Math.floor(grades.length / 2)];
  return grades[Math.min(Math.max(at + step, 0), grades.length - 1)];
}

/**
 * What becomes of the keys when an action is given another: `{ keys }`, or `{ conflict }` with the action that has
 * it already, or `{ refused: true }` for a key that nobody may take.
 */
export function remapped(keys, action, press) {
  const key = nameOf(press);
  const isNamed = ["Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Backspace", "Delete"].includes(key);
  if (!isNamed && !(key.length === 1 && !/[\s0-9]/.test(key))) return { refused: true };
  const owner = Object.keys(keys).find((name) => keys[name] === key && name !== action);
  return owner ? { conflict: owner } : { keys: { ...keys, [action]: key } };
}
