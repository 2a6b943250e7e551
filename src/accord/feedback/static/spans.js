// Marks in answers: a selection becomes begin and end in code points of the answer's text.

/** Code points before a UTF-16 offset: what the server counts in. */
export function codePoints(text, offset) {
  return [...text.slice(0, offset)].length;
}

/** The UTF-16 offset of a number of code points. */
export function units(text, points) {
  return [...text].slice(0, points).join("").length;
}

/** The marks a box holds, as the server takes them. */
export function marksOf(box) {
  return [...box.querySelectorAll("li")].map((one) => JSON.parse(one.dataset.mark));
}

function selected(root) {
  const selection = document.getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const places = [...root.querySelectorAll(".candidate .text")];
  const place = places.findIndex((one) => one.contains(range.startContainer) && one.contains(range.endContainer));
  if (place < 0) return null;
  const before = document.createRange();
  before.setStart(places[place], 0);
  before.setEnd(range.startContainer, range.startOffset);
  const text = places[place].textContent;
  const start = before.toString().length;
  return { place, start: codePoints(text, start), end: codePoints(text, start + range.toString().length), quote: range.toString() };
}

/** Show a mark in its box. */
export function addMark(box, label, { quote, ...mark }, remove = "remove") {
  const row = document.createElement("li");
  row.dataset.mark = JSON.stringify(mark);
  row.dataset.quote = quote;
  row.textContent = `${label}: “${quote}” `;
  const away = document.createElement("button");
  away.type = "button";
  away.className = "quiet";
  away.textContent = remove;
  away.addEventListener("click", () => { row.remove(); box.dispatchEvent(new Event("input", { bubbles: true })); });
  row.append(away);
  box.querySelector("ol").append(row);
}

/** Marks with their quotes, as a draft keeps them, and back. */
export function draftMarks(box) {
  return [...box.querySelectorAll("li")].map((one) => ({ ...JSON.parse(one.dataset.mark), quote: one.dataset.quote }));
}

export function restoreMarks(box, marks, remove) {
  box.querySelector("ol").replaceChildren();
  const names = new Map([...box.querySelectorAll("[data-label]")].map((one) => [one.dataset.label, one.dataset.name]));
  for (const mark of marks) addMark(box, names.get(mark.label) ?? mark.label, mark, remove);
}

/** Mark what is selected with the label of a button; says whether anything was selected. */
export function markSelection(root, box, button, remove) {
  const found = selected(root);
  if (!found) return false;
  addMark(box, button.dataset.name, { ...found, label: button.dataset.label }, remove);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}

/**
 * Make answers markable in a work form: a caret for the keyboard in texts that cannot be changed, buttons that keep
 * the selection, and marks an earlier judgment holds.
 */
export function prepareMarks(root, t) {
  const boxes = [...root.querySelectorAll("[data-spans]")];
  for (const box of boxes) {
    for (const button of box.querySelectorAll("[data-label]")) {
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => markSelection(root, box, button, t("remove")));
    }
    if (box.dataset.given) {
      const texts = [...root.querySelectorAll(".candidate .text")].map((one) => one.textContent);
      const quote = (mark) => [...texts[mark.place]].slice(mark.start, mark.end).join("");
      restoreMarks(box, JSON.parse(box.dataset.given).map((mark) => ({ ...mark, quote: quote(mark) })), t("remove"));
    }
  }
  if (!boxes.length) return;
  for (const text of root.querySelectorAll(".candidate .text")) {
    Object.assign(text, { contentEditable: "true", spellcheck: false });
    for (const [name, value] of [["role", "textbox"], ["aria-readonly", "true"], ["aria-multiline", "true"], ["aria-label", t("Text to be marked")]]) text.setAttribute(name, value);
    for (const name of ["beforeinput", "paste", "cut", "drop"]) text.addEventListener(name, (event) => event.preventDefault());
  }
}
