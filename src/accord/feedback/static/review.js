// Keys of the review pages: move between cards, choose a verdict or a cause, save. The forms work without.

import { keyOf } from "./reviewkeys.js";

const cards = [...document.querySelectorAll("form.judgment:not(.done)")];
const decision = document.querySelector("form.decision");
let here = 0;

function go(step) {
  if (!cards.length) return;
  cards[here].classList.remove("here");
  here = Math.min(Math.max(here + step, 0), cards.length - 1);
  cards[here].classList.add("here");
  cards[here].focus();
  cards[here].scrollIntoView({ block: "nearest" });
}

function choose(form, name, number) {
  const options = [...form.querySelectorAll(`input[name="${name}"]`)];
  const option = options[number - 1];
  if (!option) return;
  option.checked = true;
  option.dispatchEvent(new Event("change", { bubbles: true }));
}

for (const card of cards) {
  card.addEventListener("change", (event) => {
    if (event.target.name !== "verdict") return;
    card.querySelector(".why").open = event.target.value !== "accept";
    card.querySelector(".fix").open = event.target.value === "fix";
  });
  card.addEventListener("focusin", () => { here = cards.indexOf(card); });
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
  const action = keyOf(event, isTyping);
  if (!action) return;
  const form = decision ?? cards[here];
  if (action.name === "leave") event.target.blur();
  else if (action.name === "move") go(action.step);
  else if (!form) return;
  else if (action.name === "choose") choose(form, decision ? "cause" : "verdict", action.number);
  else if (action.name === "gold") form.querySelector("input[name=make_gold]")?.click();
  else if (action.name === "save") form.requestSubmit(form.querySelector("button.main"));
  event.preventDefault();
});

if (cards.length) go(0);
