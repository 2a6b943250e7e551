// One key for each action, and what the page hears: keys, the pointer, typing, coming and going.
import * as desk from "./desk.js";
import { keep, sweep } from "./drafts.js";
import { actionOf } from "./keymap.js";
import {
  breaks, chart, current, drawer, keys, next, outbox, queue, renew, room, say, show, store, submit, t, time, undo,
} from "./work.js";

function act(action) {
  const form = current?.form;
  switch (action.name) {
    case "grade": return form && desk.choose(form, action.grade);
    case "rate": return desk.rate(document.activeElement, action.grade);
    case "mark": return form && !desk.mark(form, action.grade, t) && say(t("Select words first."));
    case "left": case "right": return form && desk.step(form, action.name === "left" ? -1 : 1);
    case "submit": return submit(action);
    case "reason": return document.querySelectorAll(".skip button")[action.grade - 1]?.click();
    case "skip": {
      const box = document.querySelector(".skip");
      if (!box) return;
      box.open = !box.open;
      return box.querySelector(box.open ? "button" : "summary").focus();
    }
    case "guidelines": return drawer.toggle(document.activeElement);
    case "raw": return current?.panes.raw();
    case "diff": return document.querySelector('[data-act="diff"]').setAttribute("aria-pressed", String(Boolean(current?.panes.diff())));
    case "scroll": return current && sessionStorage.setItem("accord:scroll", current.panes.scroll());
    case "side": return current?.panes.side();
    case "edit": return (form?.querySelector("textarea") ?? form?.querySelector("[contenteditable]"))?.focus();
    case "finish": return document.getElementById("finish")?.click();
    case "undo": return undo();
    case "history": location.href = `${room}/history`; return;
    case "break": return breaks.take();
    case "keys": return chart.toggle();
    case "leave": return document.activeElement.blur();
    case "send": return renew().then((isIn) => { if (!isIn) say(t("You are still signed out.")); });
    case "close": return drawer.close();
  }
}

document.addEventListener("keydown", (event) => {
  if (chart.take(event)) { event.preventDefault(); event.stopPropagation(); return; }
  const place = desk.placeOf(event.target);
  const action = actionOf(event, place, keys);
  const isOwnKey = event.key === "Enter" && event.target.matches?.("button, summary, a");
  const isChart = action?.name === "keys" && document.querySelector("dialog[open]:not(#keys)");
  if (!action || isOwnKey || isChart) return;
  if (action.name !== "close" || drawer.close()) event.preventDefault();
  if (current) current.noted.keyboard = true;
  if (action.name !== "close") act(action);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "work") return;
  event.preventDefault();
  submit({ skip: event.submitter?.name === "skip" ? event.submitter.value : "" });
});
document.addEventListener("click", (event) => {
  const name = event.target.closest?.("[data-act]")?.dataset.act;
  if (name) act({ name });
});
document.addEventListener("input", (event) => {
  if (!current?.form.contains(event.target)) return;
  const isKept = keep(store, current.form.dataset.id, desk.draftOf(current.form), Date.now());
  say(isKept ? t("Kept on this device, {time}", { time: time() }) : t("Not kept on this device until you submit"));
});
for (const name of ["keydown", "pointerdown", "pointermove", "scroll", "focus"]) {
  addEventListener(name, () => { if (queue.touch()) queue.refill(); }, { passive: true });
}
addEventListener("pagehide", () => queue.release(true));
addEventListener("focus", () => { if (outbox.isHeld) renew(); });
setInterval(() => { queue.release(); queue.refill(); }, 30000);
document.querySelector("form[action='/logout']")?.addEventListener("submit", () => { sweep(store); queue.release(true); });
sweep(store, Date.now());
outbox.recover();
show({});
if (current && outbox.has(current.form.dataset.id)) next();
queue.refill();
