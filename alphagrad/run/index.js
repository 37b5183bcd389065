// A table that is sorted by the column whose head is pressed.
"use strict";

for (const table of document.querySelectorAll(".runs")) {
  const heads = [...table.querySelectorAll("thead th")], body = table.tBodies[0];
  const key = (row, at) => {
    const { number } = row.cells[at].dataset;
    return number === undefined ? row.cells[at].textContent : number === "" ? Infinity : Number(number);
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  heads.forEach((head, at) => head.firstElementChild.addEventListener("click", () => {
    const rising = head.ariaSort !== "ascending";
    heads.forEach((other) => { other.ariaSort = "none"; });
    head.ariaSort = rising ? "ascending" : "descending";
    const rows = [...body.rows].sort((a, b) => compare(key(a, at), key(b, at)) || 0);
    body.append(...(rising ? rows : rows.reverse()));
  }));
}
