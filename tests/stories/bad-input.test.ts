import { expect } from "chai";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { long } from "../support/long";
import { startPooler } from "../support/pooler";
import { major, withEmpty, withV6 } from "../support/postgres";
import { root, withStack, type StackOptions } from "../support/stack";
import { afterUp } from "../support/migrated";
import { differences, total } from "../support/story";
import { withFolder } from "../support/folder";

/** Each of these must be refused by preview already, in words that say what, where and what to do. */
const refusals: Record<string, { options: Partial<StackOptions>; says: RegExp[] }> = {
  "an unknown config key": {
    options: { config: { legacyConsnt: "x" } },
    says: [/guardian:legacyConsnt/, /legacyConsent/],
  },
  "an unknown flag": {
    options: { config: { rollout: '{"fhir_integratoin": 5}' } },
    says: [/fhir_integratoin/, /fhir_integration/],
  },
  "percent 101": {
    options: { config: { rollout: '{"fhir_integration": 101}' } },
    says: [/guardian:rollout\.fhir_integration/, /100/],
  },
  "an unreachable server": { options: { env: { PGPORT: "1" } }, says: [/127\.0\.0\.1:1/, /to do:/] },
  "a database that is not there": { options: { env: { PGDATABASE: "no_such" } }, says: [/no_such/, /to do:/] },
  "a wrong password": { options: { env: { PGPASSWORD: "wrong-secret-1" } }, says: [/password/, /to do:/] },
};

describe("bad input is refused before the first write", function () {
  this.timeout(600_000);

  for (const [what, { options, says }] of Object.entries(refusals)) {
    // What the program refuses is config.test.ts's, and how the CLI shows it pulumi-cli.test.ts's.
    const test = what === "a wrong password" ? it : long;
    test(what, async () => {
      await withV6(async (db) => {
        const client = await db.connect();
        const before = await quickFingerprint(client);
        await withStack({ database: db.migrator, ...options }, async (stack) => {
          const { output } = await stack.preview({ expectFailure: true });
          for (const pattern of says) expect(output).to.match(pattern);
          expect(output).not.to.contain("wrong-secret-1").and.not.to.contain(db.migrator.password);
          await stack.up({ expectFailure: true });
        });
        expect(differences(before, await quickFingerprint(client))).to.deep.equal([]);
      });
    });
  }

  long("a database that is not a v6", () =>
    withEmpty((db) =>
      withStack({ database: db.admin }, async (stack) => {
        const { output } = await stack.preview({ expectFailure: true });
        expect(output).to.contain("this database is not a Guardian v6").and.to.contain("missing: table auth.users");
      }),
    ),
  );

  long("a missing right, with the statement that gives it", () =>
    withV6(async (db) => {
      await (
        await db.connect("admin")
      ).query(
        "REVOKE CREATE ON SCHEMA public FROM guardian_migrator, PUBLIC; REVOKE ALL ON auth.users FROM guardian_migrator",
      );
      await withStack({ database: db.migrator }, async (stack) => {
        // A preview needs no more than it reads.
        const { output } = await stack.preview({ expectFailure: true });
        expect(output)
          .to.match(/lacks a right/)
          .and.to.match(/GRANT SELECT ON auth\.users TO guardian_migrator;/);
        const up = await stack.up({ expectFailure: true });
        expect(up.output)
          .to.match(/lacks rights/)
          .and.to.match(/GRANT REFERENCES ON auth\.users TO guardian_migrator;/);
      });
    }),
  );

  long("a transaction pooler", () =>
    withV6(async (db) => {
      const pooler = await startPooler(db.migrator, 2);
      try {
        await withStack({ database: { ...db.migrator, port: pooler.port } }, async (stack) => {
          const { output } = await stack.preview({ expectFailure: true });
          expect(output)
            .to.match(/pooler/i)
            .and.to.match(/to do:/);
        });
      } finally {
        await pooler.stop();
      }
    }),
  );

  long("a pg_dump older than the server names the package", () =>
    withV6(async (db) => {
      return withFolder(async (old) => {
        for (const name of ["pg_dump", "pg_restore"]) {
          writeFileSync(join(old, name), `#!/bin/sh\necho '${name} (PostgreSQL) 14.1'\n`, { mode: 0o755 });
        }
        await withStack({ database: db.migrator, env: { GUARDIAN_PG_BIN: old } }, async (stack) => {
          const { output } = await stack.preview({ expectFailure: true });
          expect(output).to.contain(`postgresql-client-${major}`);
        });
      });
    }),
  );

  long("an applied module that was edited", function () {
    return withCopy((copy, plugin) =>
      afterUp(async ({ stack }) => {
        const file = join(copy, "sql", "001_feature_flags", "up.sql");
        const written = readFileSync(file, "utf8");
        writeFileSync(file, `-- a comment\n${written}`);
        expect((await stack.preview()).changes, "a comment").to.deep.equal({ same: total });
        writeFileSync(file, written.replace("'fhir_integration'", "'fhir_integrations'"));
        const { output } = await stack.preview({ expectFailure: true });
        expect(output).to.contain("of 001_feature_flags changed after it was applied");
        expect(output).to.contain("to do: restore sql/001_feature_flags as it was applied");
        writeFileSync(file, written);
        expect((await stack.up()).changes).to.deep.equal({ same: total });
      }, plugin),
    );
  });

  long("broken SQL in a module: file, line, column and caret, in preview", () =>
    withCopy((copy, plugin) =>
      withV6(async (db) => {
        const file = join(copy, "sql", "001_feature_flags", "down.sql");
        writeFileSync(file, `${readFileSync(file, "utf8")}\nDROP TABEL public.x;\n`);
        await withStack({ database: db.migrator, ...plugin }, async (stack) => {
          const { output } = await stack.preview({ expectFailure: true });
          expect(output).to.match(/sql\/001_feature_flags\/down\.sql:\d+:6/);
          expect(output).to.contain("DROP TABEL").and.to.contain("^");
        });
      }),
    ),
  );
});

/** A copy of the plugin and the modules, in a path with a space, that a test may spoil. */
async function withCopy(test: (copy: string, stack: Partial<StackOptions>) => Promise<void>): Promise<void> {
  return withFolder(async (copy) => {
    for (const part of ["config", "engine", "provider", "resources", "spec", "sql", "package.json", "tsconfig.json"]) {
      cpSync(join(root, part), join(copy, part), { recursive: true });
    }
    await test(copy, { plugin: join(copy, "provider"), modules: join(root, "node_modules") });
  });
}
