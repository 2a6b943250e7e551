// Marks in answers: a selection becomes begin and end in code points of the answer's text.

/** Code points before a UTF-16 offset: what the server counts in. */
export function codePoints(text, offset) {
  return [...text.slice(0, offset)].length;
}

/** The marks a box holds, as the server takes them. */
export function marksOf(box) {
  return [...box.querySelectorAll("li")].map((one) => JSON.parse(one.dataset.mark));
}

function selected() {
  const selection = document.getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const places = [...document.querySelectorAll(".candidate .text")];
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
export function addMark(box, label, { quote, ...mark }) {
  const row = document.createElement("li");
  row.dataset.mark = JSON.stringify(mark);
  row.dataset.quote = quote;
  row.textContent = `${label}: “${quote}” `;
  const away = document.createElement("button");
  away.type = "button";
  away.className = "quiet";
  away.textContent = "remove";
  away.addEventListener("click", () => { row.remove(); box.dispatchEvent(new Event("input", { bubbles: true })); });
  row.append(away);
  box.querySelector("ol").append(row);
}

/** Marks with their quotes, as a draft keeps them, and back. */
export function draftMarks(box) {
  return [...box.querySelectorAll("li")].map((one) => ({ ...JSON.parse(one.dataset.mark), quote: one.dataset.quote }));
}

export function restoreMarks(box, marks) {
  const names = new Map([...box.querySelectorAll("[data-label]")].map((one) => [one.dataset.label, one.textContent]));
  for (const mark of marks) addMark(box, names.get(mark.label) ?? mark.label, mark);
}

for (const box of globalThis.document?.querySelectorAll("[data-spans]") ?? []) {
  for (const button of box.querySelectorAll("[data-label]")) {
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      const found = selected();
      if (!found) return;
      addMark(box, button.textContent, { ...found, label: button.dataset.label });
      box.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}
