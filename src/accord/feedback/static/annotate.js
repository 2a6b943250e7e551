// Keys, the starting text of a correction, marks in answers, and a submission that waits for the server.
import { actionOf, stepFrom } from "./keymap.js";
import { marksOf } from "./spans.js";
import { startBeats } from "./timing.js";

const form = document.getElementById("work");
const state = document.getElementById("state");
let beat = async () => null;
const say = (text) => { if (state) state.textContent = text; };

function isTyping(element) {
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement ||
    (element instanceof HTMLInputElement && !["radio", "checkbox", "button"].includes(element.type));
}

function choose(grade) {
  const wanted = form.querySelector(`.verdict input[value="${grade}"]`);
  if (!wanted) return;
  wanted.checked = true;
  wanted.focus();
  wanted.dispatchEvent(new Event("change", { bubbles: true }));
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
    case "skip": return form.requestSubmit(form.querySelector('[value="skip"]'));
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

async function send(event) {
  if (event.submitter?.value === "skip") return;
  event.preventDefault();
  say("Saving…");
  await beat();
  const body = new URLSearchParams(new FormData(form));
  body.set("step", "submit");
  for (const box of form.querySelectorAll("[data-spans]")) body.set(`spans.${box.dataset.spans}`, JSON.stringify(marksOf(box)));
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    say("Saving…");
    try {
      const answer = await fetch(location.href, { method: "POST", body, redirect: "follow" });
      if (answer.status < 500) {
        const text = await answer.text();
        if (answer.ok) return location.reload();
        const message = new DOMParser().parseFromString(text, "text/html").querySelector("[role=alert]");
        return say(message ? message.textContent : `Not taken (${answer.status})`);
      }
    } catch { /* the server is away: nothing is lost, the same key is sent again */ }
    say("The server does not answer; your judgment is kept here and sent again.");
    await new Promise((done) => setTimeout(done, wait));
  }
}

if (form) {
  document.addEventListener("keydown", (event) => {
    const action = actionOf(event, isTyping(event.target));
    if (!action || (event.key === "Enter" && event.target instanceof HTMLButtonElement)) return;
    event.preventDefault();
    act(action);
  });
  startTexts();
  beat = startBeats({
    assignment: form.elements.assignment.value,
    token: form.elements.token.value,
    csrf: form.elements.csrf.value,
    send: (...asked) => fetch(...asked),
    now: () => performance.now(),
  });
  form.addEventListener("submit", send);
}
