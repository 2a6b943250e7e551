// Which key does what: a pure table, so that it is tested without a page. Digits act only outside text fields.

export const ACTIONS = { Enter: "submit", s: "skip", g: "guidelines", r: "raw", "?": "keys", ArrowLeft: "left", ArrowRight: "right" };

/** The action of a key press, or null: none while typing (but Escape), with a modifier, or when a key repeats. */
export function actionOf(press, isTyping) {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  if (isTyping) return press.key === "Escape" ? { name: "leave" } : null;
  if (/^[0-9]$/.test(press.key)) return { name: "grade", grade: Number(press.key) };
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
