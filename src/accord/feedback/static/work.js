// The work at hand: the next item at once, judgments on their way behind the annotator's back, undo and breaks.
import * as desk from "./desk.js";
import { forget, keep, kept } from "./drafts.js";
import { DEFAULTS } from "./keymap.js";
import { makeOutbox } from "./outbox.js";
import { makePanes } from "./panes.js";
import { makeQueue } from "./queue.js";
import { makeBreaks, makeKeys, makeLessons, makePace } from "./sitting.js";
import { startBeats } from "./timing.js";
import { makeDrawer } from "./drawer.js";
import { carried, speaker } from "./words.js";

export const store = globalThis.localStorage;
export const t = speaker(carried(document, "words"));
export const keys = { ...DEFAULTS, ...carried(document, "keymap") };
const { project, handle } = document.body.dataset;
export const room = `/p/${project}`;
const [table, state, toast, ask, today] = ["desk", "state", "toast", "ask", "today"].map((id) => document.getElementById(id));
export const say = (...parts) => state.replaceChildren(...parts);
export const time = () => new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const csrf = () => document.querySelector("meta[name=csrf-token]").content;
const sent = new Map(); // letters whose form may still be wanted: to be taken up again, or because the server refused it
export let current = null; // { form, panes, beat, noted, isFromAhead }
let last = null; // the last judgment the server has
let isConfirmed = false;
let isUndoing = false;

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", body, redirect: "follow",
    headers: { "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json", "X-CSRF-Token": csrf() },
  });
  const isDoor = new URL(answer.url).pathname === "/login";
  return { status: isDoor ? 401 : answer.status, ok: answer.ok && !isDoor, body: await answer.json().catch(() => ({})) };
}

const fields = (pairs) => new URLSearchParams([["csrf", csrf()], ...pairs]).toString();
export const queue = makeQueue({
  now: () => performance.now(),
  ask: async (have, count) => {
    const answer = await post(`${room}/ahead`, fields([
      ["count", count], ...have.map((id) => ["have", id]),
      ...[...outbox.ids, current?.form.dataset.id].filter(Boolean).map((id) => ["apart", id]),
    ]));
    if (!answer.ok) throw new Error(`answer ${answer.status}`);
    breaks.nudge(answer.body.note);
    return answer.body;
  },
  back: (ids) => fetch(`${room}/back`, { method: "POST", keepalive: true, body: new URLSearchParams(fields(ids.map((id) => ["id", id]))) }).catch(() => null),
});
const pace = makePace(store, handle);
export const breaks = makeBreaks(document, { t, told: sessionStorage, onPause: (isResting) => queue.pause(isResting).then(() => { if (!isResting && !current) next(); }) });
const lessons = makeLessons(document, { t });
export const chart = makeKeys(document, { keys, t, save: (all) => post("/settings", fields([["keys", JSON.stringify(all)]])) });
export const drawer = makeDrawer(document, { post, noted: () => current?.noted ?? {} });
export const outbox = makeOutbox({
  store, post, owner: handle, wait: (ms) => new Promise((done) => setTimeout(done, ms)),
  tell(event, letter, answer) {
    if (event === "sending") say(t("Saving…"));
    if (event === "away") say(t("The server does not answer; {n} kept here and sent again.", { n: outbox.size }));
    if (event === "signed-out") askToSignIn();
    if (event === "saved") saved(letter, answer.body);
    if (event === "refused") refused(letter, answer);
  },
});

function saved(letter, receipt) {
  forget(store, letter.id);
  sent.delete(letter.id);
  say(outbox.size ? t("Saving…") : t("Saved {time}", { time: time() }));
  if (receipt.judgment_id) last = receipt.judgment_id;
  if (receipt.training) lessons.show(receipt.training);
  if (!outbox.size) queue.refill().then(() => { if (!current) next(); });
}

/** The server did not take it: the same form comes back, with what was said against it. */
function refused(letter, answer) {
  const work = sent.get(letter.id);
  const why = answer.body.detail ?? t("Not taken ({status})", { status: answer.status });
  say(why);
  sent.delete(letter.id);
  if (!work || answer.status !== 422) return;
  if (current) queue.putBack({ id: current.form.dataset.id, form: current.form });
  show(work);
  say(why);
}

function askToSignIn() {
  const link = Object.assign(document.createElement("a"), { href: "/login", target: "_blank", textContent: t("Sign in") });
  const again = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: t("Send again") });
  again.dataset.act = "send";
  say(t("You are signed out; your answers are kept on this device."), " ", link, " ", again);
}

/** A fresh token against forged requests after signing in again elsewhere. */
export async function renew() {
  const page = await fetch("/settings", { redirect: "follow" }).catch(() => null);
  const found = page?.ok && new DOMParser().parseFromString(await page.text(), "text/html").querySelector("meta[name=csrf-token]");
  if (!found) return false;
  document.querySelector("meta[name=csrf-token]").content = found.content;
  for (const field of document.querySelectorAll("[name=csrf]")) field.value = found.content;
  outbox.resume((body) => { const made = new URLSearchParams(body); made.set("csrf", csrf()); return made.toString(); });
  return true;
}

/** Put a piece of work on the desk: its form as it came, or as it was left. */
export function show(work) {
  current?.beat.stop();
  if (work.html) table.innerHTML = work.html;
  else if (work.form) table.replaceChildren(work.form);
  const form = document.getElementById("work");
  current = null;
  if (!form) return;
  form.elements.csrf.value = csrf();
  const noted = { ahead: Boolean(work.isAhead), width: innerWidth, keyboard: false };
  const panes = makePanes(form, { noted, t, say, way: sessionStorage.getItem("accord:scroll") ?? "page" });
  if (!work.form) desk.prepare(form, t);
  const found = kept(store, form.dataset.id);
  if (found?.answers) {
    desk.takeUp(form, found, t);
    say(t("Your answers from before are back."));
  }
  const expected = Number(form.dataset.expectedMs);
  const isNew = !form.dataset.revises;
  const beat = startBeats({
    assignment: form.elements.assignment.value, token: form.elements.token.value, csrf, now: () => performance.now(),
    send: isNew ? (...asked) => fetch(...asked) : async () => null, idleMs: expected,
  });
  current = { form, panes, beat, noted, expected };
  isConfirmed = false;
  ask.hidden = true;
  if (work.isAhead || work.form) {
    scrollTo(0, 0);
    const first = form.querySelector("[autofocus]");
    (first ?? document.getElementById("item")).focus({ preventScroll: true });
    first?.scrollIntoView({ block: "center" });
  }
  if (panes.isAlike()) {
    noted.suggested = true;
    if (!found?.answers) say(t("These answers are much alike: {key} shows where they differ.", { key: keys.diff.toUpperCase() }));
  }
}

export function next(waiting = null) {
  const work = queue.take();
  if (work) {
    show({ ...work, isAhead: true });
    performance.mark("accord:painted");
    requestAnimationFrame(() => queue.refill());
    return;
  }
  current?.beat.stop();
  current = null;
  const box = Object.assign(document.createElement("section"), { className: "narrow rest", id: "rest" });
  const title = document.createElement("h1");
  const text = document.createElement("p");
  const way = Object.assign(document.createElement("a"), { className: "button", href: `${room}/me`, textContent: t("Where I stand") });
  box.append(title, text, way);
  const isKnownEmpty = !outbox.size && queue.empty;
  title.textContent = isKnownEmpty ? t("Nothing for you now") : waiting ?? t("Waiting for the server");
  text.textContent = waiting && outbox.size ? "" : outbox.size ? t("All you have judged is kept here. The next item comes as soon as the server answers.") : queue.empty?.text ?? "";
  table.replaceChildren(box);
  if (!outbox.size && !queue.empty) queue.refill().then(() => { if (!current && (queue.size || queue.empty)) next(); });
}

/** Hand the form in, unless something is missing or it was far quicker than reading takes; then ask, once. */
export function submit({ skip = "", isLast = false } = {}) {
  if (!current) return;
  const { form, beat, noted, expected } = current;
  const open = skip ? null : desk.missing(form);
  if (open) {
    say(t("Please answer: {label}", { label: open.label }));
    open.element?.focus();
    return;
  }
  if (outbox.isHeld) renew();
  const told = beat();
  const facts = beat.spent();
  if (!skip && !isConfirmed && !form.dataset.revises && pace.shouldAsk(facts.duration_ms, expected)) {
    isConfirmed = true;
    noted.guard = true;
    pace.asked();
    ask.textContent = t("That was quick for a text this long. Submit again if you have read it all.");
    ask.hidden = false;
    return;
  }
  const letter = { id: form.dataset.id, path: form.action, body: desk.bodyOf(form, { ...facts, ui: JSON.stringify(noted) }, skip) };
  if (!skip) keep(store, letter.id, desk.draftOf(form), Date.now());
  if (sent.has(letter.id)) return;
  sent.set(letter.id, { form });
  outbox.add(letter, told);
  const isSaid = Boolean(form.dataset.aside);
  current = null;
  beat.stop();
  next(skip ? null : form.dataset.waiting);
  // Behind the next item: a break gives back what is fetched ahead.
  if (!skip && !form.dataset.revises && !isSaid) count(facts.active_ms, expected);
  if (!skip && !isSaid) offerUndo();
  if (isLast) breaks.take();
}

function count(activeMs, expected) {
  pace.done(activeMs, expected);
  today.dataset.judged = Number(today.dataset.judged) + 1;
  today.dataset.active = Number(today.dataset.active) + activeMs;
  today.textContent = `${t("{n} today", { n: today.dataset.judged })} · ${Math.round(today.dataset.active / 60000)} min`;
  breaks.count(activeMs);
}

function offerUndo() {
  clearTimeout(offerUndo.timer);
  toast.querySelector("span").textContent = t("Submitted.");
  toast.hidden = false;
  offerUndo.timer = setTimeout(() => { toast.hidden = true; }, 10000);
}

/** Take the last judgment up again, with the answers it had: what is then submitted is a further revision. */
export async function undo() {
  toast.hidden = true;
  if (isUndoing) return;
  if (outbox.size) return say(t("As soon as it is saved it can be changed."));
  if (!last) { location.href = `${room}/history`; return; }
  isUndoing = true;
  const answer = await fetch(`${room}/judgments/${last}`, { headers: { Accept: "application/json" } }).catch(() => null);
  isUndoing = false;
  if (!answer?.ok) return say(t("The server does not answer; try again."));
  if (current && !current.form.dataset.revises) queue.putBack({ id: current.form.dataset.id, form: current.form });
  show({ html: (await answer.json()).html });
  document.getElementById("item")?.focus({ preventScroll: true });
}
