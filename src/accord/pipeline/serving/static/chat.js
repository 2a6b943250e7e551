// Streams both answers into the page; votes and everything else are plain forms. Takes document and fetch from outside.

/** Events of a stream as they come, each the JSON behind "data: ". */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}

/** What a key does, or null; `isWriting` while answers come, `isTyping` in the text field. */
export function actionOf(press, { isTyping = false, isWriting = false } = {}) {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat || press.isComposing) return null;
  if (press.key === "Escape") return isWriting ? { name: "stop" } : isTyping ? { name: "leave" } : null;
  if (isTyping) return press.key === "Enter" && !press.shiftKey ? { name: "ask" } : null;
  if (isWriting) return null;
  if (/^[1-5]$/.test(press.key)) return { name: "vote", place: Number(press.key) - 1 };
  return { n: { name: "new" }, e: { name: "end" } }[press.key.toLowerCase()] ?? null;
}

export function start(page, send) {
  const find = (selector) => page.querySelector(selector);
  const ask = find("#ask"), chat = find("#chat"), stop = find("#stop"), state = find("#state");
  let writing = null;
  chat.dataset.ready = "yes";
  if (!ask) {
    page.addEventListener("keydown", (press) => { if (actionOf(press)?.name === "new") find('a[aria-keyshortcuts="N"]').click(); });
    return;
  }

  async function write() {
    const text = ask.elements.text.value.trim();
    if (!text || writing) return;
    writing = new AbortController();
    find("#question").hidden = false;
    find("#question .text").textContent = text;
    const rest = find(".rest");
    if (rest) rest.hidden = true;
    find("#answers").hidden = false;
    ask.hidden = true;
    stop.hidden = false;
    state.textContent = "Both are writing";
    const columns = [...page.querySelectorAll("[data-answer]")];
    for (const column of columns) { column.className = "text writing"; column.textContent = ""; }
    let problem = "";
    try {
      const body = JSON.stringify({ text, csrf: ask.elements.csrf.value });
      const headers = { "Content-Type": "application/json" };
      const answer = await send(`/chat/${chat.dataset.battle}/say`, { method: "POST", body, headers, signal: writing.signal });
      if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `the server answered ${answer.status}`);
      for await (const event of eventsOf(answer.body)) {
        if (event.error) throw new Error(event.error);
        if (event.side === undefined) continue;
        columns[event.side].textContent += event.text;
        if (event.finish) columns[event.side].classList.remove("writing");
      }
    } catch (error) {
      if (error.name !== "AbortError") problem = error.message;
    }
    for (const column of columns) column.classList.remove("writing");
    const wasStopped = writing.signal.aborted;
    writing = null;
    stop.hidden = true;
    if (problem) {
      state.textContent = `It did not work: ${problem}`;
      ask.hidden = false;
      return;
    }
    find("#verdict").hidden = false;
    state.textContent = wasStopped ? "Stopped. Which is better so far?" : "Both have answered.";
    page.activeElement?.blur?.();
  }

  ask.addEventListener("submit", (event) => { event.preventDefault(); write(); });
  stop.addEventListener("click", () => writing?.abort());
  page.addEventListener("keydown", (press) => {
    const isTyping = press.target.matches?.("textarea, input") ?? false;
    const action = actionOf(press, { isTyping: isTyping && !ask.hidden, isWriting: writing !== null });
    if (!action) return;
    const verdicts = [...page.querySelectorAll("#verdict button")];
    if (action.name === "vote" && (find("#verdict").hidden || !verdicts[action.place])) return;
    press.preventDefault();
    if (action.name === "ask") write();
    else if (action.name === "stop") writing.abort();
    else if (action.name === "leave") press.target.blur();
    else if (action.name === "vote") verdicts[action.place].click();
    else if (action.name === "end") find('button[name="reveal"]')?.click();
    else if (action.name === "new") find('a[aria-keyshortcuts="N"]').click();
  });
}

if (typeof document !== "undefined") start(document, (...given) => fetch(...given));
