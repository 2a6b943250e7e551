import assert from "node:assert/strict";
import test from "node:test";
import { AWAY_MS, makeQueue } from "../../../src/accord/feedback/static/queue.js";

const work = (id) => ({ id, html: `<form>${id}</form>` });
test("it asks for what is missing, drops what is gone, and hands out in order", async () => {
  const asked = [];
  const answers = [{ works: [work("a"), work("b")], gone: [], empty: null }, { works: [work("c")], gone: ["b"], empty: null }];
  const queue = makeQueue({ now: () => 0, back: async () => {}, ask: async (have, count) => { asked.push([have, count]); return answers.shift(); } });
  await queue.refill();
  assert.equal(queue.take().id, "a");
  await queue.refill();
  assert.deepEqual(asked, [[[], 2], [["b"], 2]]);
  assert.deepEqual([queue.take().id, queue.take()], ["c", null]);
});
test("one question at a time, and a server that is away changes nothing", async () => {
  let count = 0;
  const queue = makeQueue({ now: () => 0, back: async () => {}, ask: async () => { count += 1; throw new Error("away"); } });
  await Promise.all([queue.refill(), queue.refill()]);
  assert.deepEqual([count, queue.size], [1, 0]);
});
test("a minute without anybody gives everything back, and nothing is asked for until somebody is there", async () => {
  let clock = 0;
  let count = 0;
  const returned = [];
  const queue = makeQueue({
    now: () => clock, back: async (ids) => returned.push(...ids),
    ask: async () => { count += 1; return { works: [work(`w${count}`)], gone: [], empty: null }; },
  });
  await queue.refill();
  clock = AWAY_MS - 1;
  await queue.release();
  assert.deepEqual(returned, []);
  clock = AWAY_MS;
  await queue.release();
  await queue.refill();
  assert.deepEqual([returned, count, queue.size], [["w1"], 1, 0]);
  assert.equal(queue.touch(), true);
  await queue.refill();
  assert.equal(queue.size, 1);
});
test("what was taken once is not taken again", async () => {
  const queue = makeQueue({ now: () => 0, back: async () => {}, ask: async () => ({ works: [work("a")], gone: [], empty: null }) });
  await queue.refill();
  queue.take();
  await queue.refill();
  assert.equal(queue.size, 0);
});
test("in a break nothing is fetched, and what was on its way goes back", async () => {
  const returned = [];
  let answer;
  const queue = makeQueue({ now: () => 0, back: async (ids) => returned.push(...ids), ask: () => new Promise((done) => { answer = done; }) });
  const asked = queue.refill();
  await queue.pause(true);
  answer({ works: [work("a")], gone: [], empty: null });
  await asked;
  assert.deepEqual([returned, queue.size], [["a"], 0]);
  await queue.refill();
  assert.equal(queue.size, 0);
});
