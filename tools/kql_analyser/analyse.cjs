// Reads JSON lines: first {tables: {name: [[column, type]]}, usual: [name], functions: [[name, parameters, body]]}, then
// {id, query, usual}. Writes for each query {id, errors: [{code, message, start}], columns: [[name, type]] | null, open}.
// A query with `usual` sees those tables only, so that its wildcards stand for them.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const vm = require("node:vm");

const PACKAGE = path.dirname(require.resolve("@kusto/language-service-next/package.json"));
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(PACKAGE, file), "utf8"), { filename: file });
}
const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language;

function listed(found) {
  return found ? Array.from({ length: found.Count }, (_, index) => found.getItem(index)) : [];
}

function tableOf([name, columns]) {
  const made = columns.map(([column, type]) =>
    new Symbols.ColumnSymbol(column, Symbols.ScalarTypes.GetSymbol(type), null, null, null, null));
  return new Symbols.TableSymbol.$ctor6(name, made, null);
}

function globalsOf(tables, functions) {
  const known = functions.map(([name, parameters, body]) =>
    new Symbols.FunctionSymbol.$ctor16(name, parameters, body, null));
  const database = new Symbols.DatabaseSymbol.$ctor3("workspace", null, [...tables, ...known], false);
  return GlobalState.Default.WithDatabase(database);
}

function analysed(query, globals) {
  const code = KustoCode.ParseAndAnalyze(query, globals);
  const errors = listed(code.GetDiagnostics()).filter((one) => one.Severity === "Error");
  const result = code.ResultType;
  const columns = result && result.Columns ? listed(result.Columns).map((one) => [one.Name, one.Type.Name]) : null;
  return {
    errors: errors.map((one) => ({ code: one.Code, message: one.Message, start: one.Start })),
    columns,
    open: Boolean(result && result.IsOpen),
  };
}

let all = null;
let usual = null;
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const given = JSON.parse(line);
  if (all === null) {
    const tables = new Map(Object.entries(given.tables).map((entry) => [entry[0], tableOf(entry)]));
    all = globalsOf([...tables.values()], given.functions);
    usual = globalsOf(given.usual.flatMap((name) => tables.get(name) ?? []), given.functions);
    return;
  }
  let found;
  try {
    found = analysed(given.query, given.usual ? usual : all);
  } catch (error) {
    found = { crash: String((error && error.message) || error) };
  }
  process.stdout.write(`${JSON.stringify({ id: given.id, ...found })}\n`);
});
