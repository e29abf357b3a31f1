import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { chooseCompression, compressArgument } from "../../engine/backup/compression";
import { findClient } from "../../engine/backup";
import { clientFolder } from "../../scripts/pg-clients";
import { useFolder } from "../support/folder";

describe("the compression of a dump", () => {
  const folder = useFolder("guardian compression ");

  it("17-1 is zstd where the client writes it and this Node reads it, which the client is asked once, else gzip", async () => {
    const client = (name: string, said: string) => {
      const path = folder(name);
      mkdirSync(path);
      const script = `#!/bin/sh\necho asked >> '${path}/asked'\necho '${said}' >&2\nexit 1\n`;
      writeFileSync(join(path, "pg_dump"), script, { mode: 0o755 });
      return { path: join(path, "pg_dump"), version: "17.4", major: 17 };
    };
    const [real15, real17] = await Promise.all(
      ([15, 17] as const).map(async (major) =>
        findClient("pg_dump", major, { GUARDIAN_PG_BIN: await clientFolder(major) }),
      ),
    );
    const built = 'pg_dump: error: connection to server on socket "/dev/null/.s.PGSQL.5432" failed';
    const plain = client("plain", "pg_dump: error: this build does not support compression with ZSTD");
    expect(await chooseCompression(real17!, true)).to.equal("zstd:1");
    expect(await chooseCompression(real17!, false), "this Node does not read it").to.equal("gzip:1");
    expect(await chooseCompression(real15!, true), "before 16").to.equal("gzip:1");
    expect(await chooseCompression(plain, true)).to.equal("gzip:1");
    const able = client("able", built);
    for (let i = 0; i < 2; i++) expect(await chooseCompression(able, true)).to.equal("zstd:1");
    expect(readFileSync(folder("able", "asked"), "utf8")).to.equal("asked\n");
    expect(compressArgument("gzip:1", real15!)).to.equal("--compress=1");
    expect(compressArgument("zstd:1", real17!)).to.equal("--compress=zstd:1");
  });
});
