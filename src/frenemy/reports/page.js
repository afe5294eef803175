"use strict";
for (const command of document.querySelectorAll(".command")) {
  const button = command.querySelector(".copy");
  const text = command.querySelector("pre");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
for (const table of document.querySelectorAll(".verdicts")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.number === undefined ? cell.textContent : Number(cell.dataset.number);
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    return typeof b === "number" ? 1 : a.localeCompare(b);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      rows.sort((a, b) => sign * compare(value(a, column), value(b, column)));
      body.append(...rows);
    });
  });
  const tools = table.closest(".scroll").previousElementSibling;
  const input = tools.querySelector("input");
  const output = tools.querySelector("output");
  input.parentElement.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = input.value ? `${shown} of ${rows.length} shown` : "";
  });
}
for (const dial of document.querySelectorAll(".dial")) {
  const input = dial.querySelector("input");
  const output = dial.querySelector("output");
  const scope = dial.closest(dial.dataset.scope);
  const stops = Array.from(scope.querySelectorAll(".stop"));
  const marks = Array.from(scope.querySelectorAll(".chart [data-stop]"));
  const turn = () => {
    for (const stop of stops) {
      stop.hidden = stop.dataset.stop !== input.value;
      if (stop.hidden || !stop.dataset.told) continue;
      input.setAttribute("aria-valuetext", stop.dataset.told);
      if (output) output.textContent = stop.dataset.told;
    }
    for (const mark of marks) mark.classList.toggle("here", mark.dataset.stop === input.value);
  };
  for (const mark of marks) {
    mark.addEventListener("click", () => {
      input.value = mark.dataset.stop;
      turn();
    });
  }
  input.addEventListener("input", turn);
  dial.hidden = false;
  turn();
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
document.documentElement.dataset.ready = "yes";
