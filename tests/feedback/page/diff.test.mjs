import assert from "node:assert/strict";
import test from "node:test";
import { differences, piecesOf, similarity } from "../../../src/accord/feedback/static/diff.js";

const own = (runs) => runs.filter((run) => run.isOwn).map((run) => run.text);
test("only what the other has not is marked", () => {
  const found = differences("It was in May, I think.", "It was in June, I think.");
  assert.deepEqual([own(found.left), own(found.right)], [["May"], ["June"]]);
});
test("the runs joined are the texts again", () => {
  const texts = ["a b  c\n\nd — 日本 é", "b a c e\td"];
  const found = differences(...texts);
  assert.deepEqual([found.left, found.right].map((runs) => runs.map((run) => run.text).join("")), texts);
});
test("equal and empty texts differ nowhere", () => {
  assert.deepEqual(own(differences("same", "same").left), []);
  assert.deepEqual(differences("", "").left, []);
  assert.deepEqual(own(differences("", "x").right), ["x"]);
});
test("what has to be marked is the least there can be", () => {
  // ABCBDAB and BDCABA: the longest common subsequence has 4 letters, so 3 and 2 are left over
  const found = differences("A-B-C-B-D-A-B".replaceAll("-", " "), "B D C A B A");
  const letters = (runs) => own(runs).join("").replaceAll(" ", "").length;
  assert.deepEqual([letters(found.left), letters(found.right)], [3, 2]);
});
test("texts too long to be compared come back whole", () => {
  const [left, right] = ["x ".repeat(3000), "y ".repeat(3000)];
  const found = differences(left, right);
  assert.equal(found.isTooLong, true);
  assert.equal(found.left[0].text, left);
});
test("similarity counts words twice over all words", () => {
  assert.equal(similarity("a b c d", "a b c e"), 6 / 8);
  assert.equal(similarity("", ""), 1);
  assert.equal(similarity("a", ""), 0);
});
test("pieces are words, signs and spaces", () => assert.deepEqual(piecesOf("it’s 2!"), ["it", "’", "s", " ", "2", "!"]));
