import assert from "node:assert/strict";
import test from "node:test";
import { dueBreak, ITEMS, LONG_MS, ownExpectation, shouldAsk } from "../../../src/accord/feedback/static/pace.js";
import { relevant } from "../../../src/accord/feedback/static/drawer.js";
import { speaker } from "../../../src/accord/feedback/static/words.js";

test("far too quick is asked about, but not within twenty items and never for some lines", () => {
  assert.equal(shouldAsk(9000, 40000, 20), true);
  assert.equal(shouldAsk(10000, 40000, 20), false);
  assert.equal(shouldAsk(1, 40000, 19), false);
  assert.equal(shouldAsk(1, 4000, 99), false);
});
test("a quick reader is measured by his own median after fifty items, never by more than the general one", () => {
  assert.equal(ownExpectation(1000, Array(49).fill(0.5)), 1000);
  assert.equal(ownExpectation(1000, Array(50).fill(0.5)), 500);
  assert.equal(ownExpectation(1000, Array(50).fill(3)), 1000);
});
test("a break is due after fifty items or two hours, put off twice at most", () => {
  assert.equal(dueBreak({ items: ITEMS - 1, activeMs: 0, snoozes: 0 }), null);
  assert.equal(dueBreak({ items: ITEMS, activeMs: 0, snoozes: 0 }), "short");
  assert.equal(dueBreak({ items: ITEMS, activeMs: 0, snoozes: 1 }), null);
  assert.equal(dueBreak({ items: ITEMS + 20, activeMs: 0, snoozes: 2 }), "short");
  assert.equal(dueBreak({ items: 999, activeMs: LONG_MS, snoozes: 3 }), null);
  assert.equal(dueBreak({ items: 1, activeMs: LONG_MS, snoozes: 0 }), "long");
});
test("the drawer opens at the paragraph that speaks of the question", () => {
  assert.equal(relevant(["Be kind", "On helpfulness: more", "Other"], "helpfulness How helpful?"), 1);
  assert.equal(relevant(["Be kind"], "x"), -1);
});
test("words are filled in, and English stays where there is no translation", () => {
  const t = speaker({ "Saved {time}": "Gespeichert {time}" });
  assert.deepEqual([t("Saved {time}", { time: 3 }), t("Undo")], ["Gespeichert 3", "Undo"]);
});
