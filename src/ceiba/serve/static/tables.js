// Files of texts: CSV, TSV, JSON lines, or a text per line; read to rows, and written.

/** Return { columns, rows, numbers }: rows are objects of strings, numbers their lines in the file. */
export function readTable(name, content) {
  const plain = content.replace(/^\uFEFF/, "");
  const kind = name.toLowerCase().split(".").at(-1);
  if (kind === "jsonl" || kind === "ndjson") return readJsonLines(plain);
  if (kind === "csv" || kind === "tsv") return readCsv(plain, kind === "tsv" ? "\t" : delimiterOf(plain));
  const rows = plain.split(/\r\n|\n|\r/).filter((line) => line.trim()).map((text) => ({ text }));
  return { columns: ["text"], rows };
}

function readJsonLines(content) {
  const columns = new Set();
  const rows = [];
  content.split("\n").forEach((line, index) => {
    if (!line.trim()) return;
    let value;
    try {
      value = JSON.parse(line);
    } catch {
      throw new Error(`Line ${index + 1} is not valid JSON.`);
    }
    const row = typeof value === "string" ? { text: value } : value;
    if (row === null || typeof row !== "object" || Array.isArray(row)) {
      throw new Error(`Line ${index + 1} is neither an object nor a string.`);
    }
    for (const [column, cell] of Object.entries(row)) if (typeof cell === "string") columns.add(column);
    rows.push(row);
  });
  return { columns: [...columns], rows };
}

function delimiterOf(content) {
  const first = content.slice(0, content.search(/\r|\n/) >>> 0);
  const counts = [",", ";", "\t"].map((sign) => [first.split(sign).length, sign]);
  return counts.reduce((best, next) => (next[0] > best[0] ? next : best))[1];
}

function readCsv(content, delimiter) {
  const records = [];
  let record = [];
  let cell = "";
  let quoted = false;
  let begun = false;
  const endCell = () => {
    record.push(cell);
    cell = "";
    begun = false;
  };
  const endRecord = () => {
    endCell();
    if (record.length > 1 || record[0].trim()) records.push(record);
    record = [];
  };
  for (let i = 0; i < content.length; i++) {
    const sign = content[i];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (content[i + 1] === '"') cell += content[++i];
      else quoted = false;
    } else if (sign === '"' && !begun) {
      quoted = begun = true;
    } else if (sign === delimiter) {
      endCell();
    } else if (sign === "\n" || sign === "\r") {
      if (sign === "\r" && content[i + 1] === "\n") i++;
      endRecord();
    } else {
      cell += sign;
      begun = true;
    }
  }
  if (quoted) throw new Error("A quoted cell does not end.");
  if (cell || record.length) endRecord();
  const [header, ...body] = records;
  if (!header) return { columns: [], rows: [] };
  const columns = header.map((title, index) => title.trim() || `column ${index + 1}`);
  const wrong = body.findIndex((cells) => cells.length > columns.length);
  if (wrong >= 0) throw new Error(`Record ${wrong + 2} has ${body[wrong].length} cells, the header ${columns.length}.`);
  const rows = body.map((cells) => Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? ""])));
  return { columns, rows };
}

/** Return rows as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe before it. */
export function writeCsv(columns, rows) {
  const cell = (value) => {
    let text = typeof value === "string" ? value : value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return lines.map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}
