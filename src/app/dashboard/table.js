// A table whose rows stay when they are told anew, so that focus and selection stay, too. On narrow
// screens each row becomes a list of its cells (style.css), which is why every cell has the name of
// its column, and why roles are spelt out: `display` takes them away.

import { hold, make } from "./dom.js";

export class Table {
  #rows = new Map();
  #body = make("tbody", { role: "rowgroup" });

  /**
   * `columns` are `{label, cell(row), kind}`; `key(row)` tells rows apart;
   * `nothing` stands in place of no rows.
   */
  constructor(caption, columns, key, nothing) {
    this.columns = columns;
    this.key = key;
    this.nothing = nothing;
    const heads = columns.map(({ label, kind }) =>
      make("th", { scope: "col", role: "columnheader", class: kind }, label),
    );
    const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads));
    this.element = make("table", { role: "table", "aria-label": caption }, head, this.#body);
    this.parts = nothing === undefined ? [this.element] : [this.element, nothing];
    this.#tell(true);
  }

  /** Shows these rows in this order, and no others. */
  show(rows) {
    this.#tell(rows.length > 0);
    const before = this.#rows;
    this.#rows = new Map();
    let place = this.#body.firstChild;
    for (const row of rows) {
      const key = this.key(row);
      const element = before.get(key) ?? this.#make();
      this.#rows.set(key, element);
      before.delete(key);
      this.columns.forEach(({ cell }, index) => hold(element.children[index], cell(row)));
      if (element === place) place = place.nextSibling;
      else this.#body.insertBefore(element, place);
    }
    for (const element of before.values()) element.remove();
  }

  #tell(hasRows) {
    if (this.nothing === undefined) return;
    this.element.hidden = !hasRows;
    this.nothing.hidden = hasRows;
  }

  #make() {
    const cells = this.columns.map(({ label, kind }) =>
      make("td", { role: "cell", "data-label": label, class: kind }),
    );
    return make("tr", { role: "row" }, ...cells);
  }
}
