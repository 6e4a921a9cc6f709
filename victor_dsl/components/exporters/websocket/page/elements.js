// Creates elements. Text is always inserted as text, never as markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A table. A cell is text, an element, or {text, class, children}; `numbers` are the first and last column that are right-aligned.
export function table(heads, rows, { caption = "", wide = false, numbers: [from, to] = [99, 99] } = {}) {
  const set = (at) => (at >= from && at <= to ? "n" : "");
  const head = element("tr", {}, ...heads.map((text, at) => element("th", { scope: "col", class: set(at) }, text)));
  const body = rows.map((row) => {
    const line = element("tr", { class: row.class ?? "" });
    (row.cells ?? row).forEach((cell, at) => {
      const { text = cell, children = [], class: kind = set(at) } = cell?.text !== undefined || cell?.children ? cell : {};
      line.append(element("td", { class: kind, "data-head": heads[at] }, ...(children.length ? children : [text])));
    });
    return line;
  });
  return element("table", { class: wide ? "wide" : "" },
    caption ? element("caption", {}, caption) : null, element("thead", {}, head), element("tbody", {}, ...body));
}
