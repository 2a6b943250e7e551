// One sitting at the page: what was done, the pace it was done in, breaks, and the keys somebody wants.
import { dueBreak, ownExpectation, shouldAsk } from "./pace.js";
import { remapped } from "./keymap.js";

const KEPT = 200;

/** The pace of a person, kept on the device: ratios of time taken to time expected, and when he was last asked. */
export function makePace(store, handle) {
  const name = `accord:pace:${handle}`;
  const read = () => { try { return JSON.parse(store.getItem(name)) ?? {}; } catch { return {}; } };
  let { ratios = [], since = 20 } = read();
  return {
    shouldAsk: (spentMs, expectedMs) => shouldAsk(spentMs, ownExpectation(expectedMs, ratios), since),
    asked() { since = 0; },
    done(activeMs, expectedMs) {
      since += 1;
      if (expectedMs > 0) ratios = [...ratios, activeMs / expectedMs].slice(-KEPT);
      try { store.setItem(name, JSON.stringify({ ratios, since })); } catch { /* the device keeps nothing */ }
    },
  };
}

/** Breaks: counted since the last one, suggested and never forced. `told` keeps which notes were shown. */
export function makeBreaks(document, { t, onPause, told = { getItem: () => null, setItem() {} } }) {
  const box = document.getElementById("pause");
  const text = document.getElementById("pause-text");
  let state = { items: 0, activeMs: 0, snoozes: 0 };
  let noticed = null;
  const later = box?.querySelector("[data-pause=snooze]");
  box?.querySelector("[data-pause=back]").addEventListener("click", () => box.close());
  later?.addEventListener("click", () => { state.snoozes += 1; later.dataset.used = "yes"; box.close(); });
  box?.addEventListener("close", () => {
    if (!later.dataset.used) state = { items: 0, activeMs: 0, snoozes: 0 };
    delete later.dataset.used;
    onPause(false);
  });
  const open = (words, canWait) => {
    if (!box || box.open) return;
    text.textContent = words;
    later.hidden = !canWait;
    onPause(true);
    box.showModal();
  };
  return {
    take: () => open(t("Your work is saved. Take your time; the clock stands still."), false),
    /** Keep what was noticed, to be said privately and once, when the item at hand is done: nobody is interrupted. */
    nudge(note) { if (note?.text && !told.getItem(`accord:note:${note.id}`)) noticed = note; },
    /** One more item is done; suggests a break where one is due. */
    count(activeMs) {
      state.items += 1;
      state.activeMs += activeMs;
      if (noticed) {
        told.setItem(`accord:note:${noticed.id}`, "yes");
        open(noticed.text, true);
        noticed = null;
        return;
      }
      const due = dueBreak(state);
      if (due === "long") open(t("Two hours of attention. A longer break now keeps your eye fresh."), true);
      if (due === "short") open(t("{n} items since your last break. Take five?", { n: state.items }), true);
    },
  };
}

/** What training items teach, one after the other, each until it is closed. */
export function makeLessons(document, { t }) {
  const box = document.getElementById("lesson");
  const title = document.getElementById("lesson-title");
  const text = document.getElementById("lesson-text");
  const waiting = [];
  const line = (words) => Object.assign(document.createElement("p"), { textContent: words, dir: "auto" });
  const open = () => {
    const one = waiting.shift();
    if (!one) return;
    title.textContent = one.is_right ? t("That was right.") : t("That was expected otherwise.");
    const expected = one.expected.map((part) => line(`${part.label} — ${t("Expected:")} ${part.words}`));
    text.replaceChildren(...expected, ...(one.explanation ? [line(one.explanation)] : []));
    box.showModal();
  };
  box?.querySelector("[data-lesson]").addEventListener("click", () => box.close());
  box?.addEventListener("close", open);
  return {
    show(one) {
      waiting.push(one);
      if (!box.open) open();
    },
  };
}

/** The list of keys, in which each can be changed; a key that is taken is refused and its owner named. */
export function makeKeys(document, { keys, t, save }) {
  const box = document.getElementById("keys");
  const told = document.getElementById("remap");
  const standing = t("Press one of the keys above, then the one you want in its place.");
  let wanted = null;
  const shown = (key) => (key.length === 1 ? key.toUpperCase() : key);
  for (const button of box?.querySelectorAll("[data-remap]") ?? []) {
    button.addEventListener("click", () => {
      wanted = button;
      told.textContent = t("Now press the new key; Escape leaves it as it is.");
    });
  }
  box?.addEventListener("close", () => { wanted = null; told.textContent = standing; });
  return {
    toggle: () => (box.open ? box.close() : box.showModal()),
    /** A key press while a new key is waited for; says whether it was one. */
    take(press) {
      if (!wanted || !box.open || ["Shift", "Control", "Alt", "Meta", "Tab"].includes(press.key)) return false;
      const button = wanted;
      wanted = null;
      if (press.key === "Escape") { told.textContent = standing; return true; }
      const made = remapped(keys, button.dataset.remap, press);
      if (made.refused) told.textContent = t("That key cannot be taken.");
      else if (made.conflict) {
        const owner = box.querySelector(`[data-remap="${made.conflict}"]`).closest("div").querySelector("dd").textContent;
        told.textContent = t("{key} is taken by: {what}. Nothing was changed.", { key: shown(press.key), what: owner });
      } else {
        Object.assign(keys, made.keys);
        button.querySelector("kbd").textContent = shown(keys[button.dataset.remap]);
        for (const one of document.querySelectorAll(`kbd[data-key="${button.dataset.remap}"]`)) one.textContent = shown(keys[button.dataset.remap]);
        told.textContent = t("Changed.");
        save(keys);
      }
      return true;
    },
  };
}
