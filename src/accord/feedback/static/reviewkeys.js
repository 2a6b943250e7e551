// Which key does what on the review pages: a pure table, so that it is tested without a page.

/** The action of a key press, or null: none with a modifier or a repeating key; while typing only Escape. */
export function keyOf(press, isTyping) {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  if (isTyping) return press.key === "Escape" ? { name: "leave" } : null;
  if (/^[1-9]$/.test(press.key)) return { name: "choose", number: Number(press.key) };
  switch (press.key.length === 1 ? press.key.toLowerCase() : press.key) {
    case "j": return { name: "move", step: 1 };
    case "k": return { name: "move", step: -1 };
    case "m": return { name: "gold" };
    case "Enter": return { name: "save" };
    default: return null;
  }
}
