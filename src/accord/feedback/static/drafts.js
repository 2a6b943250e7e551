// What is not yet on the server stays on this device: answers by assignment, kept through reloads and outages.

const PREFIX = "accord:draft:";
export const KEPT_MS = 7 * 24 * 3600 * 1000;
const OWN = ["csrf", "token", "assignment", "key", "duration_ms", "active_ms"];

/** Answers of a form as pairs, without what the server put there. */
export function answersIn(pairs) {
  return [...pairs].filter(([name]) => !OWN.includes(name)).map(([name, value]) => [name, String(value)]);
}

/** Keep answers for an assignment; false where the device keeps nothing. */
export function keep(store, assignment, draft, now) {
  try {
    store.setItem(PREFIX + assignment, JSON.stringify({ ...draft, at: now }));
    return true;
  } catch { return false; }
}

/** What was kept for an assignment, or null. A draft that cannot be read counts as none. */
export function kept(store, assignment) {
  try { return JSON.parse(store.getItem(PREFIX + assignment)); } catch { return null; }
}

/** Forget one assignment's answers. */
export function forget(store, assignment) {
  try { store.removeItem(PREFIX + assignment); } catch { /* there is nothing to forget */ }
}

/** Forget all drafts, or those older than a week before `now`. */
export function sweep(store, now = Infinity) {
  try {
    const names = [...Array(store.length).keys()].map((i) => store.key(i)).filter((name) => name?.startsWith(PREFIX));
    for (const name of names) {
      const found = kept(store, name.slice(PREFIX.length));
      if (now - (found?.at ?? 0) > KEPT_MS) store.removeItem(name);
    }
  } catch { /* no storage on this device */ }
}

/** Put kept answers back into a form: fields by name and value. */
export function restore(form, answers) {
  const values = new Map();
  for (const [name, value] of answers) values.set(name, [...(values.get(name) ?? []), value]);
  for (const field of form.elements) {
    if (!field.name || OWN.includes(field.name) || !values.has(field.name)) continue;
    const given = values.get(field.name);
    if (field.type === "radio" || field.type === "checkbox") field.checked = given.includes(field.value);
    else if (field.tagName !== "BUTTON") {
      field.value = given[0];
      field.dataset.touched = "yes";
    }
  }
}
