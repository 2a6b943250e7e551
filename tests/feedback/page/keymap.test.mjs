import assert from "node:assert/strict";
import test from "node:test";
import { actionOf, stepFrom } from "../../../src/accord/feedback/static/keymap.js";
import { codePoints } from "../../../src/accord/feedback/static/spans.js";

test("digits are grades outside text fields only", () => {
  assert.deepEqual(actionOf({ key: "7" }), { name: "grade", grade: 7 });
  assert.equal(actionOf({ key: "7" }, "typing"), null);
});
test("a held key and a chord do nothing", () => {
  assert.equal(actionOf({ key: "Enter", repeat: true }), null);
  assert.equal(actionOf({ key: "s", ctrlKey: true }), null);
});
test("escape leaves a text field", () => assert.deepEqual(actionOf({ key: "Escape" }, "typing"), { name: "leave" }));
test("capitals are the same keys", () => assert.deepEqual(actionOf({ key: "S" }), { name: "skip" }));
test("arrows step along the grades that are offered and stop at the ends", () => {
  assert.equal(stepFrom([0, 1, 2, 4, 5], 2, 1), 4);
  assert.equal(stepFrom([0, 1, 2], 1, -1), 1);
  assert.equal(stepFrom([1, 2, 3], null, 1), 2);
  assert.equal(stepFrom([], null, 1), null);
});
test("offsets count code points, as the server does", () => assert.equal(codePoints("a😀b", 3), 2));
test("keys do not reach the page behind a dialog, but the one that closes it", () => {
  for (const key of ["2", "Enter", "s", "ArrowLeft"]) assert.equal(actionOf({ key }, "dialog"), null);
  assert.deepEqual(actionOf({ key: "?" }, "dialog"), { name: "keys" });
});
test("on another scale digits and arrows are its own", () => {
  assert.deepEqual(actionOf({ key: "3" }, "scale"), { name: "rate", grade: 3 });
  assert.equal(actionOf({ key: "ArrowRight" }, "scale"), null);
  assert.deepEqual(actionOf({ key: "Enter" }, "scale"), { name: "submit" });
});
test("among reasons for a skip digits choose one and nothing submits", () => {
  assert.deepEqual(actionOf({ key: "2" }, "skip"), { name: "reason", grade: 2 });
  assert.deepEqual(actionOf({ key: "Escape" }, "skip"), { name: "skip" });
  assert.equal(actionOf({ key: "Enter" }, "skip"), null);
});
