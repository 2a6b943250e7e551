import assert from "node:assert/strict";
import test from "node:test";
import { actionOf, stepFrom } from "../../../src/accord/feedback/static/keymap.js";
import { codePoints } from "../../../src/accord/feedback/static/spans.js";

test("digits are grades outside text fields only", () => {
  assert.deepEqual(actionOf({ key: "7" }, false), { name: "grade", grade: 7 });
  assert.equal(actionOf({ key: "7" }, true), null);
});
test("a held key and a chord do nothing", () => {
  assert.equal(actionOf({ key: "Enter", repeat: true }, false), null);
  assert.equal(actionOf({ key: "s", ctrlKey: true }, false), null);
});
test("escape leaves a text field", () => assert.deepEqual(actionOf({ key: "Escape" }, true), { name: "leave" }));
test("capitals are the same keys", () => assert.deepEqual(actionOf({ key: "S" }, false), { name: "skip" }));
test("arrows step along the grades that are offered and stop at the ends", () => {
  assert.equal(stepFrom([0, 1, 2, 4, 5], 2, 1), 4);
  assert.equal(stepFrom([0, 1, 2], 1, -1), 1);
  assert.equal(stepFrom([1, 2, 3], null, 1), 2);
  assert.equal(stepFrom([], null, 1), null);
});
test("offsets count code points, as the server does", () => assert.equal(codePoints("a😀b", 3), 2));
