// Sorts and filters tables, and draws the charts; all that it needs is on the page.
"use strict";

const number = (text) => {
  const match = text.trim().match(/^[+-]?[\d,]*\.?\d+/);
  return match ? Number(match[0].replaceAll(",", "")) : NaN;
};

// `way` is 1 or -1; what is no number stays behind the numbers either way.
function compare(a, b, way) {
  const x = number(a), y = number(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return way * (x - y);
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return way * a.localeCompare(b);
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const up = heads[column].getAttribute("aria-sort") !== "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row.cells[column].textContent, row]);
  rows.sort((a, b) => compare(a[0], b[0], up ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

for (const input of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(input.dataset.filters);
  const said = document.getElementById(`${input.dataset.filters}-count`);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      // A word of two letters is a language code and must be a whole one.
      row.hidden = !words.every((word) =>
        cells.some((cell) =>
          word.length < 3 ? cell.split(/[^\p{L}]+/u).includes(word) : cell.includes(word)));
      shown += row.hidden ? 0 : 1;
    }
    said.textContent = `${shown.toLocaleString("en")} rows`;
  };
  input.addEventListener("input", filter);
  filter();
}

const charts = JSON.parse(document.getElementById("charts").textContent);
for (const [id, spec] of Object.entries(charts)) {
  window.vegaEmbed(`#${id}`, spec, { renderer: "svg", actions: false });
}
