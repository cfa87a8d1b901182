"use strict";
// Headings become buttons that sort their table; without this script they stay headings.
const collator = new Intl.Collator("en", { numeric: true });

function key(row, column, words) {
  const text = row.cells[column]?.textContent.trim() ?? "";
  if (words) return text;
  const number = parseFloat(text.replace(/,/g, ""));
  return Number.isNaN(number) ? null : number;
}

function compare(a, b, falling) {
  if (a === null || b === null) return (a === null) - (b === null); // what is unknown stays below
  const order = typeof a === "string" ? collator.compare(a, b) : a - b;
  return falling ? -order : order;
}

function sort(table, heading) {
  const column = heading.cellIndex, words = heading.classList.contains("words");
  const falling = heading.ariaSort === "ascending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.ariaSort = falling ? "descending" : "ascending";
  const rows = Array.from(table.tBodies[0].rows, (row) => [key(row, column, words), row]);
  rows.sort((a, b) => compare(a[0], b[0], falling));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length < 2) continue;
  for (const heading of table.tHead.rows[table.tHead.rows.length - 1].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
}
