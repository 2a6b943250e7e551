// The piece of work on the desk: reading and writing its form, and what is still missing. Keeps no state of its own.
import { draftMarks, markSelection, marksOf, prepareMarks, restoreMarks } from "./spans.js";
import { answersIn, restore } from "./drafts.js";
import { stepFrom } from "./keymap.js";

const fire = (element) => { for (const name of ["input", "change"]) element.dispatchEvent(new Event(name, { bubbles: true })); };

export function isTyping(element) {
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement ||
    (element instanceof HTMLInputElement && !["radio", "checkbox", "button"].includes(element.type));
}

/** Where the focus is, as keys see it; see `actionOf`. */
export function placeOf(element, root = document) {
  if (root.querySelector("dialog[open]")) return "dialog";
  if (isTyping(element)) return "typing";
  if (element?.isContentEditable) return "marking";
  if (root.querySelector(".skip[open]")) return "skip";
  const isScale = element instanceof HTMLInputElement && ["radio", "checkbox"].includes(element.type) && !element.closest(".verdict");
  return isScale ? "scale" : "page";
}

/**
 * The side a correction starts from: the better one. Of a tie it is drawn, by the work's id, so that corrections lean
 * to neither side; where both are bad there is none.
 */
export function startOf(grade, middle, id) {
  if (grade === 0) return null;
  if (grade !== middle) return grade > middle ? 1 : 0;
  return [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7) % 2;
}

/** Make a form ready that has just come: marks, and the starting text of a correction. */
export function prepare(form, t) {
  prepareMarks(form, t);
  const texts = [...form.querySelectorAll(".candidate .text")].map((one) => one.textContent);
  for (const area of form.querySelectorAll('textarea[data-start="best"]')) {
    if (area.value) area.dataset.touched = "yes";
    form.addEventListener("change", (event) => {
      if (!event.target.matches(".verdict input") || area.dataset.touched) return;
      const grade = Number(event.target.value);
      const middle = (Math.max(...verdicts(form).map((one) => Number(one.value))) + 1) / 2;
      const side = startOf(grade, middle, form.dataset.id);
      area.value = texts[side] ?? "";
      area.dataset.side = side ?? "";
    });
    area.addEventListener("input", () => { area.dataset.touched = "yes"; });
  }
  for (const code of form.querySelectorAll(".prose pre")) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet copy", textContent: t("Copy") });
    button.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(code.querySelector("code").textContent).catch(() => null);
      button.textContent = t("Copied");
    });
    const frame = Object.assign(document.createElement("div"), { className: "codeframe" });
    code.replaceWith(frame);
    code.tabIndex = 0;
    frame.append(code, button);
  }
}

export const verdicts = (form) => [...form.querySelectorAll(".verdict input")];

/** Choose a grade of the comparison; where there is none, in the first row that has no answer yet. */
export function choose(form, grade) {
  const wanted = form.querySelector(`.verdict input[value="${grade}"]`) ?? (verdicts(form).length ? null : inOpenRow(form, grade));
  if (!wanted) return;
  wanted.checked = wanted.type === "checkbox" ? !wanted.checked : true;
  wanted.focus({ preventScroll: wanted.closest(".verdict") !== null });
  fire(wanted);
}

function inOpenRow(form, grade) {
  const rows = [...form.querySelectorAll(".questions [role=radiogroup], .questions [role=group]")];
  const row = rows.find((one) => !one.querySelector("input:checked")) ?? rows.at(-1);
  return row?.querySelector(`input[data-digit="${grade}"]`);
}

/** Choose by digit in the row of the focused button. */
export function rate(element, grade) {
  const row = element.closest("[role=radiogroup], [role=group]");
  const wanted = row?.querySelector(`input[data-digit="${grade}"]`);
  if (!wanted) return;
  wanted.focus();
  wanted.click();
}

export function step(form, direction) {
  const offered = verdicts(form);
  const chosen = offered.find((one) => one.checked);
  const grade = stepFrom(offered.map((one) => Number(one.value)), chosen ? Number(chosen.value) : null, direction);
  if (grade !== null) choose(form, grade);
}

/** Mark the selection with the label of a number. */
export function mark(form, number, t) {
  const button = form.querySelector(`[data-label][data-digit="${number}"]`);
  return button ? markSelection(form, button.closest("[data-spans]"), button, t("remove")) : false;
}

/** The label of the first required question without an answer, with its element; null where all are answered. */
export function missing(form) {
  for (const box of form.querySelectorAll("fieldset[data-required]")) {
    const label = box.dataset.required;
    const rows = [...box.querySelectorAll("[role=radiogroup]")];
    if (box.classList.contains("verdict") && !box.querySelector("input:checked")) return { label, element: box.querySelector("input") };
    if (box.dataset.kind === "ranking") {
      if (!box.querySelector('input:checked:not([value=""])')) return { label, element: box.querySelector("input") };
      continue;
    }
    const open = rows.find((one) => !one.querySelector("input:checked"));
    if (open) return { label, element: open.querySelector("input") };
    const area = box.querySelector("textarea");
    if (area && area.value.trim().length < Math.max(1, Number(area.dataset.min))) return { label, element: area };
  }
  return null;
}

/** Answers, marks and the key they are sent under, kept until the server has them. */
export function draftOf(form) {
  const boxes = [...form.querySelectorAll("[data-spans]")];
  return {
    answers: answersIn(new FormData(form)),
    marks: Object.fromEntries(boxes.map((box) => [box.dataset.spans, draftMarks(box)])),
    key: form.elements.key.value,
  };
}

/** Put a draft back. */
export function takeUp(form, found, t) {
  restore(form, found.answers);
  for (const box of form.querySelectorAll("[data-spans]")) restoreMarks(box, found.marks?.[box.dataset.spans] ?? [], t("remove"));
  if (found.key) form.elements.key.value = found.key;
}

/** What the form sends, as the body of a request. */
export function bodyOf(form, facts, skip = "") {
  for (const [name, value] of Object.entries(facts)) form.elements[name].value = value;
  const body = new URLSearchParams(new FormData(form));
  if (skip) body.set("skip", skip);
  else body.set("step", "submit");
  for (const box of form.querySelectorAll("[data-spans]")) body.set(`spans.${box.dataset.spans}`, JSON.stringify(marksOf(box)));
  return body.toString();
}
