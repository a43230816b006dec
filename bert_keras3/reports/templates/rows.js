const data = JSON.parse(document.getElementById("data").textContent);
{
  const element = id => document.getElementById(id);
  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const PAGE = 50;

  function textOf([text, marks]) {
    const line = make("div", "");
    line.dir = "auto";
    const points = Array.from(text);
    let place = 0;
    for (const [start, end, kind, label] of [...marks].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
      if (start < place) continue;
      line.append(points.slice(place, start).join(""));
      const mark = make("mark", points.slice(start, end).join(""), kind);
      mark.title = data.words["mark_" + kind] + (label ? ": " + label : "");
      if (label) mark.append(make("small", label));
      line.append(mark);
      place = end;
    }
    line.append(points.slice(place).join(""));
    return line;
  }
  function reasonsOf({of, tokens, columns}) {
    const line = make("div", "", "why");
    line.dir = directionOf(tokens.map(one => one[0]));
    line.title = data.words.why;
    const part = (text, share) => {
      const shown = make("span", text);
      shown.title = share.toFixed(2);
      shown.style.background = `rgb(var(${share > 0 ? "--from" : "--to"}) / ${(0.7 * Math.abs(share)).toFixed(2)})`;
      line.append(shown);
      return shown;
    };
    line.append(make("b", of === undefined ? data.words.why_answer : data.words.why_label.replace("{label}", of)));
    for (const [token, share, isAbout] of tokens) {
      const isPiece = token.startsWith("##") && token.length > 2;
      if (!isPiece) line.append(" ");
      part(isPiece ? token.slice(2) : token, share).classList.toggle("about", Boolean(isAbout));
    }
    for (const [text, share] of columns ?? []) {
      line.append(" ");
      part(text, share).classList.add("chip");
    }
    return line;
  }
  const titles = [...document.querySelectorAll("#rows th")].map(one => one.textContent);
  function tableRow(row) {
    const made = make("tr", "");
    const text = make("td", "", "wide");
    text.append(...row.texts.map(textOf));
    text.append(...(row.why ?? []).map(reasonsOf));
    const expected = make("td", row.expected);
    const predicted = make("td", row.predicted, row.wrong > 0.1 ? "wrong-answer" : "right-answer");
    for (const cell of [expected, predicted]) cell.dir = "auto";
    made.append(make("td", row.id, "n"), text, expected);
    if (row.before !== undefined)
      made.append(make("td", row.before, row.wrong > 0.1 ? "" : "wrong-answer"));
    made.append(predicted);
    if (row.confidence !== null) made.append(make("td", row.confidence.toFixed(3), "n"));
    // On a phone, cells stand one below the other.
    [...made.cells].forEach((cell, place) => {
      if (cell !== text) cell.dataset.title = titles[place];
    });
    return made;
  }

  const rows = data.rows;
  for (const row of rows) {
    row.pairs ??= [[row.expected, row.predicted]];
    row.search = [row.id, row.expected, row.predicted, row.before ?? "", ...row.texts.map(one => one[0])].join("\n").toLowerCase();
  }
  let cell = null, limit = PAGE, sorted = null;
  const body = document.querySelector("#rows tbody");

  function chosen() {
    const kind = element("kind").value;
    const wanted = element("search").value.toLowerCase();
    const found = rows.filter(row =>
      (cell ? row.pairs.some(pair => pair[0] === cell[0] && pair[1] === cell[1]) : !kind || kind in row.kinds)
      && row.search.includes(wanted));
    if (sorted) {
      const [key, sign] = sorted;
      found.sort((a, b) => sign * (typeof a[key] === "number" ? a[key] - b[key] : a[key].localeCompare(b[key])));
    } else if (kind && !cell)
      found.sort((a, b) => a.kinds[kind] - b.kinds[kind]);
    return found;
  }
  function show() {
    const found = chosen();
    body.replaceChildren(...found.slice(0, limit).map(tableRow));
    if (!found.length) {
      const made = make("td", data.words.none_found, "faint");
      made.colSpan = 5;
      body.append(make("tr", ""));
      body.lastChild.append(made);
    }
    element("more").hidden = found.length <= limit;
    element("count").textContent = data.words.of
      .replace("{shown}", Math.min(limit, found.length)).replace("{all}", found.length);
    element("cell").hidden = !cell;
    if (cell) element("cell").firstChild.textContent = `${cell[0]} → ${cell[1]}`;
    for (const button of document.querySelectorAll("#confusion button"))
      button.setAttribute("aria-pressed", String(Boolean(cell)
        && button.dataset.expected === cell[0] && button.dataset.predicted === cell[1]));
  }
  function first() { limit = PAGE; show(); }

  if (body) {
    element("kind").onchange = () => { cell = null; sorted = null; first(); };
    element("search").oninput = first;
    element("more").onclick = () => { limit += PAGE; show(); };
    element("cell").onclick = () => { cell = null; first(); };
    for (const button of document.querySelectorAll("#rows th button"))
      button.onclick = () => {
        const key = button.dataset.key;
        sorted = [key, sorted && sorted[0] === key ? -sorted[1] : 1];
        for (const other of document.querySelectorAll("#rows th button")) delete other.dataset.sorted;
        button.dataset.sorted = sorted[1] > 0 ? "up" : "down";
        first();
      };
    for (const button of document.querySelectorAll("#confusion button"))
      button.onclick = () => {
        cell = [button.dataset.expected, button.dataset.predicted];
        first();
        element("cell").scrollIntoView({block: "nearest"});
      };
    show();
  }

  for (const table of document.querySelectorAll("table.sortable"))
    table.querySelectorAll("th button").forEach((button, column) => {
      button.onclick = () => {
        const sign = button.dataset.sorted === "down" ? 1 : -1;
        for (const other of table.querySelectorAll("th button")) delete other.dataset.sorted;
        button.dataset.sorted = sign > 0 ? "up" : "down";
        const value = row => {
          const cell = row.cells[column];
          return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
        };
        const ordered = [...table.tBodies[0].rows].sort((a, b) => {
          const [one, other] = [value(a), value(b)];
          return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
        });
        table.tBodies[0].append(...ordered);
      };
    });
}
