import assert from "node:assert/strict";
import test from "node:test";
import { actionOf, DEFAULTS, remapped } from "../../../src/accord/feedback/static/keymap.js";

test("a changed key does what the old one did, and the old one nothing", () => {
  const { keys } = remapped(DEFAULTS, "guidelines", { key: "Q" });
  assert.deepEqual(actionOf({ key: "q" }, "page", keys), { name: "guidelines" });
  assert.equal(actionOf({ key: "g" }, "page", keys), null);
});
test("a key that is taken is refused and its owner named", () => {
  assert.deepEqual(remapped(DEFAULTS, "guidelines", { key: "s" }), { conflict: "skip" });
  assert.deepEqual(remapped(DEFAULTS, "skip", { key: "s" }), { keys: { ...DEFAULTS } });
});
test("digits, spaces and keys of the system cannot be taken", () => {
  for (const key of ["1", " ", "F5", "Tab", "Escape"]) assert.deepEqual(remapped(DEFAULTS, "skip", { key }), { refused: true });
});
test("while a text is marked digits are labels and arrows its own", () => {
  assert.deepEqual(actionOf({ key: "2" }, "marking"), { name: "mark", grade: 2 });
  assert.equal(actionOf({ key: "ArrowRight", shiftKey: true }, "marking"), null);
  assert.deepEqual(actionOf({ key: "Escape" }, "marking"), { name: "leave" });
});
test("control with enter submits from a text field, alone it is a new line", () => {
  assert.deepEqual(actionOf({ key: "Enter", ctrlKey: true }, "typing"), { name: "submit" });
  assert.equal(actionOf({ key: "Enter" }, "typing"), null);
});
test("shift with enter submits and takes a break", () => {
  assert.deepEqual(actionOf({ key: "Enter", shiftKey: true }), { name: "submit", isLast: true });
});
