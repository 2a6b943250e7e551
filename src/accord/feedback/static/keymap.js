// Which key does what: a pure table, so that it is tested without a page.

export const ACTIONS = { Enter: "submit", s: "skip", g: "guidelines", r: "raw", "?": "keys", ArrowLeft: "left", ArrowRight: "right" };

/**
 * The action of a key press, or null: none with a modifier or when a key repeats. `place` is where the focus is:
 * "typing" in a text field (only Escape), "dialog" in front of the page (only ?), "skip" among the reasons
 * for a skip (digits choose one), "scale" on a row of radio buttons that is not the verdict
 * (digits and arrows are its own), else "page".
 */
export function actionOf(press, place = "page") {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  if (place === "typing") return press.key === "Escape" ? { name: "leave" } : null;
  if (place === "dialog") return press.key === "?" ? { name: "keys" } : null;
  if (/^[0-9]$/.test(press.key)) {
    const name = { scale: "rate", skip: "reason" }[place] ?? "grade";
    return { name, grade: Number(press.key) };
  }
  if (place === "skip") return press.key === "Escape" || press.key.toLowerCase() === "s" ? { name: "skip" } : null;
  if (place === "scale" && press.key.startsWith("Arrow")) return null;
  const key = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  return ACTIONS[key] ? { name: ACTIONS[key] } : null;
}

/** The grade one step from the chosen one along those offered; from the middle where none is chosen. */
export function stepFrom(offered, chosen, step) {
  const grades = offered.filter((grade) => grade > 0).sort((a, b) => a - b);
  if (!grades.length) return null;
  const at = grades.indexOf(chosen);
  if (at < 0) return grades[Math.floor(grades.length / 2)];
  return grades[Math.min(Math.max(at + step, 0), grades.length - 1)];
}
