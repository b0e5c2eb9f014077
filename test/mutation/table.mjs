// The form of the tables: rows of [rule, original text, replacement, more] of one file of the
// scheduler. A rule with "..." goes on from the one above it. `more` may name the test
// to try first (workshop.mjs), or say why a mutation changes nothing that anybody can see:
// `equivalent`.

/** Rows as mutations, with their group and file. */
export function mutations(group, file, rows, first) {
  let above = "";
  return rows.map(([name, from, to, more = {}]) => {
    const on = name.indexOf("...");
    if (on < 0) above = name;
    const rule = on < 0 ? name : `${above} ${name.slice(on)}`;
    return { group, file, rule, from, to, first, ...more };
  });
}
