"use strict";
// Arrows go one way (see CONTRIBUTING.md). eslint says the same of the import that is just being written; this also follows
// what an import leads to, types included.

const tools = "^(scripts|bench|tests)/";
const declared =
  "^((foundation/)?index\\.ts$|config/|components/|resources/define\\.ts$|resources/.+/(declare|spec)\\.ts$)";

const layers = [
  { name: "spec-imports-nothing", from: { path: "^spec/" }, to: { pathNot: "^spec/" } },
  {
    name: "engine-knows-no-pulumi",
    from: { path: "^engine/" },
    to: { path: `^(index\\.ts$|(provider|resources|components|config)/)|node_modules/@pulumi/` },
  },
  {
    name: "base-is-below-the-engine",
    from: { path: "^engine/base/" },
    to: { path: "^engine/", pathNot: "^engine/base/" },
  },
  {
    name: "provider-knows-no-postgres-nor-what-it-serves",
    from: { path: "^provider/" },
    to: { path: "^(index\\.ts$|(engine|resources|components|config)/)|node_modules/(pg|@libpg-query)/" },
  },
  {
    name: "what-is-declared-knows-no-engine",
    from: { path: declared },
    to: { path: "^(engine|provider)/|^resources/.+/handle\\.ts$|node_modules/(pg|@libpg-query)/" },
  },
  // By whatever way: said of one file only, so that one wrong import is one line.
  {
    name: "program-reaches-no-postgres",
    from: { path: "^(foundation/)?index\\.ts$" },
    to: { path: "node_modules/(pg|@libpg-query/parser)/", reachable: true },
  },
  { name: "config-knows-only-spec", from: { path: "^config/" }, to: { path: "^(components|resources)/|^index\\.ts$" } },
  {
    name: "kinds-of-resources-know-no-other-kind",
    from: { path: "^resources/([^/]+)/", pathNot: "/declare\\.ts$" },
    to: { path: "^resources/[^/]+/", pathNot: "^resources/$1/" },
  },
  {
    name: "ledger-knows-not-who-writes-it",
    from: { path: "^engine/ledger/" },
    to: { path: "^engine/", pathNot: "^engine/(base|connect|ledger)/|^engine/database\\.ts$" },
  },
  // What two of them need stands in notes/ or rows/; the list of them, and nobody else, says in what order they come.
  {
    name: "phases-do-not-know-each-other",
    from: { path: "^engine/migrate/phases/" },
    to: { path: "^engine/migrate/(phases/|(index|move)\\.ts$)" },
  },
  // The index is some thousand files of types, for which tsc takes half a gigabyte.
  {
    name: "aws-only-by-its-files",
    from: {},
    to: { path: ["node_modules/@pulumi/aws/index\\.", "node_modules/@pulumi/aws/[a-z0-9]+/index\\."] },
  },
  { name: "product-needs-no-tools", from: { pathNot: tools }, to: { path: tools } },
  { name: "tools-need-no-tests", from: { path: "^(scripts|bench)/" }, to: { path: "^tests/" } },
  { name: "scripts-need-no-bench", from: { path: "^scripts/" }, to: { path: "^bench/" } },
];

module.exports = {
  forbidden: [
    ...layers,
    { name: "no-circles", from: {}, to: { circular: true } },
    { name: "no-orphans", from: { orphan: true }, to: {} },
    { name: "no-import-that-leads-nowhere", from: {}, to: { couldNotResolve: true } },
  ].map((rule) => ({ severity: "error", ...rule })),
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    // An import of types alone is an arrow too.
    tsPreCompilationDeps: true,
  },
};
