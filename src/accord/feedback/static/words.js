// The page's words in the reader's language; English is the key, and what is said where a text has no translation.

/** A function from English to the language of a catalog, with `{name}` replaced. */
export function speaker(texts) {
  return (text, values = {}) => Object.entries(values).reduce(
    (said, [name, value]) => said.replaceAll(`{${name}}`, String(value)), texts[text] ?? text);
}

/** The JSON that the page carries under an id; an empty object where there is none. */
export function carried(document, id) {
  try { return JSON.parse(document.getElementById(id).textContent); } catch { return {}; }
}
