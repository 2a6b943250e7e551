// Keys, the starting text of a correction, drafts, and a submission that waits for the server.
import { answersIn, forget, keep, kept, restore, sweep } from "./drafts.js";
import { actionOf, stepFrom } from "./keymap.js";
import { draftMarks, marksOf, restoreMarks } from "./spans.js";
import { startBeats } from "./timing.js";

const form = document.getElementById("work");
const state = document.getElementById("state");
const store = globalThis.localStorage;
const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
let beat = Object.assign(async () => null, { spent: () => ({}) });
let isSending = false;
const say = (...parts) => state?.replaceChildren(...parts);

function isTyping(element) {
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement ||
    (element instanceof HTMLInputElement && !["radio", "checkbox", "button"].includes(element.type));
}

/** Where the focus is, as keys see it; see `actionOf`. */
function placeOf(element) {
  if (document.querySelector("dialog[open]")) return "dialog";
  if (isTyping(element)) return "typing";
  if (document.querySelector(".skip[open]")) return "skip";
  const isScale = element instanceof HTMLInputElement && element.type === "radio" && !element.closest(".verdict");
  return isScale ? "scale" : "page";
}

function rate(grade) {
  const own = document.activeElement.name;
  const wanted = [...form.elements].find((one) => one.name === own && one.value === String(grade));
  if (wanted) { wanted.focus(); wanted.click(); }
}

function choose(grade) {
  const wanted = form.querySelector(`.verdict input[value="${grade}"]`);
  if (!wanted) return;
  wanted.checked = true;
  wanted.focus();
  for (const name of ["input", "change"]) wanted.dispatchEvent(new Event(name, { bubbles: true }));
}

function act(action) {
  const offered = [...form.querySelectorAll(".verdict input")];
  const chosen = offered.find((one) => one.checked);
  switch (action.name) {
    case "grade": return choose(action.grade);
    case "left": case "right": {
      const grade = stepFrom(offered.map((one) => Number(one.value)), chosen ? Number(chosen.value) : null,
        action.name === "left" ? -1 : 1);
      return grade === null ? undefined : choose(grade);
    }
    case "submit": return form.requestSubmit(form.querySelector('[value="submit"]'));
    case "rate": return rate(action.grade);
    case "reason": return document.querySelectorAll(".skip button")[action.grade - 1]?.click();
    case "skip": {
      const box = document.querySelector(".skip");
      box.open = !box.open;
      return box.querySelector(box.open ? "button" : "summary").focus();
    }
    case "guidelines": { const box = document.getElementById("guideline"); if (box) box.open = !box.open; return; }
    case "raw":
      for (const one of document.querySelectorAll(".candidate .prose")) {
        one.hidden = !one.hidden;
        one.nextElementSibling.hidden = !one.hidden;
      }
      return;
    case "keys": { const box = document.getElementById("keys"); return box.open ? box.close() : box.showModal(); }
    case "leave": return document.activeElement.blur();
  }
}

function startTexts() {
  const texts = [...document.querySelectorAll(".candidate .text")].map((one) => one.textContent);
  for (const area of form.querySelectorAll('textarea[data-start="best"]')) {
    form.addEventListener("change", (event) => {
      if (!event.target.matches(".verdict input") || area.dataset.touched) return;
      const grade = Number(event.target.value);
      const middle = (Math.max(...[...form.querySelectorAll(".verdict input")].map((one) => Number(one.value))) + 1) / 2;
      area.value = texts[grade > middle ? 1 : 0] ?? "";
    });
    area.addEventListener("input", () => { area.dataset.touched = "yes"; });
  }
}

/** Answers, marks and the key they are sent under, kept until the server has them. */
function draftNow() {
  const boxes = [...form.querySelectorAll("[data-spans]")];
  return {
    answers: answersIn(new FormData(form)),
    marks: Object.fromEntries(boxes.map((box) => [box.dataset.spans, draftMarks(box)])),
    key: form.elements.key.value,
  };
}

function keepDraft() {
  const isKept = keep(store, form.elements.assignment.value, draftNow(), Date.now());
  if (!isSending) say(isKept ? `Kept on this device, ${clock()}` : "Not kept on this device until you submit");
}

function takeUpDraft() {
  const found = kept(store, form.elements.assignment.value);
  if (!found?.answers) return;
  restore(form, found.answers);
  for (const box of form.querySelectorAll("[data-spans]")) restoreMarks(box, found.marks?.[box.dataset.spans] ?? []);
  if (found.key) form.elements.key.value = found.key;
  say("Your answers from before are back.");
}

function bodyNow() {
  for (const [name, value] of Object.entries(beat.spent())) form.elements[name].value = value;
  const body = new URLSearchParams(new FormData(form));
  body.set("step", "submit");
  for (const box of form.querySelectorAll("[data-spans]")) body.set(`spans.${box.dataset.spans}`, JSON.stringify(marksOf(box)));
  return body;
}

/** A fresh token against forged requests after signing in again elsewhere; false where nobody is signed in. */
async function renewCsrf() {
  const page = await fetch(location.href, { redirect: "follow" });
  const found = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("#work [name=csrf]");
  const isNew = page.ok && found && found.value !== form.elements.csrf.value;
  if (isNew) form.elements.csrf.value = found.value;
  return Boolean(isNew);
}

function askToSignIn() {
  const link = Object.assign(document.createElement("a"), { href: "/login", target: "_blank", textContent: "Sign in" });
  say("You are signed out; your answers are kept on this device. ", link, " in another tab, then submit again.");
}

/** Tell the server until it answers; the same key makes it one judgment, however often it arrives. */
async function deliver() {
  let hasRenewed = false;
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    say("Saving…");
    try {
      const answer = await fetch(location.href, { method: "POST", body: bodyNow(), redirect: "follow" });
      if (answer.ok && new URL(answer.url).pathname === "/login") return askToSignIn();
      if (answer.ok) {
        forget(store, form.elements.assignment.value);
        sessionStorage.setItem("accord:saved", clock());
        return location.reload();
      }
      if ([401, 403].includes(answer.status)) {
        if (!hasRenewed && await renewCsrf()) { hasRenewed = true; continue; }
        return askToSignIn();
      }
      if (answer.status < 500 && answer.status !== 429) {
        const message = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[role=alert]");
        return say(message ? message.textContent : `Not taken (${answer.status})`);
      }
    } catch { /* the server is away: nothing is lost, the same key is sent again */ }
    say("The server does not answer; your judgment is kept here and sent again.");
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function send(event) {
  if (event.submitter?.name === "skip") return forget(store, form.elements.assignment.value);
  event.preventDefault();
  if (isSending) return;
  isSending = true;
  form.setAttribute("aria-busy", "true");
  try {
    keepDraft();
    await beat();
    await deliver();
  } finally {
    isSending = false;
    form.removeAttribute("aria-busy");
  }
}

if (form) {
  document.addEventListener("keydown", (event) => {
    const action = actionOf(event, placeOf(event.target));
    const isOwnKey = event.key === "Enter" && event.target.matches?.("button, summary, a");
    if (!action || isOwnKey) return;
    event.preventDefault();
    act(action);
  });
  startTexts();
  sweep(store, Date.now());
  const saved = sessionStorage.getItem("accord:saved");
  if (saved) say(`Saved ${saved}`);
  sessionStorage.removeItem("accord:saved");
  takeUpDraft();
  form.addEventListener("input", keepDraft);
  document.querySelector("form[action='/logout']")?.addEventListener("submit", () => sweep(store));
  beat = startBeats({
    assignment: form.elements.assignment.value,
    token: form.elements.token.value,
    csrf: () => form.elements.csrf.value,
    send: (...asked) => fetch(...asked),
    now: () => performance.now(),
  });
  form.addEventListener("submit", send);
}
