import { expect } from "chai";
import { parseConninfo, resolveConnection } from "../../engine/connect";
import { connectFailure } from "../../engine/connect/failures";
import { GuardianError } from "../../engine/base/errors";
import { refusedBy } from "../support/refused";
import { marker } from "./dumps";

describe("a connection string", () => {
  const to = { origin: "--to", passwordFrom: "--password-from" };
  const read = (text: string): unknown => {
    const { values, service, exposed } = parseConninfo(text, "--to");
    return { ...values, ...(service === undefined ? {} : { service }), ...(exposed ? { exposed } : {}) };
  };

  it("17-6 is read as libpq reads it: a URI, key=value pairs, a service", () => {
    expect(read("postgresql://ada@db.example.org:6000/gu%20ard?sslmode=require&connect_timeout=3")).to.deep.equal({
      user: "ada",
      host: "db.example.org",
      port: "6000",
      dbname: "gu ard",
      sslmode: "require",
      connect_timeout: "3",
    });
    expect(read("postgres:///g?host=/var/run/x&port=1")).to.deep.equal({ dbname: "g", host: "/var/run/x", port: "1" });
    expect(read("postgres://[::1]:5/g")).to.deep.equal({ host: "::1", port: "5", dbname: "g" });
    expect(read("postgres://%2Fsock/g?ssl=true")).to.deep.equal({ host: "/sock", dbname: "g", sslmode: "require" });
    expect(read("postgres://a,b/g")).to.include({ host: "a,b" });
    expect(read("host=h dbname = 'my db' user='o\\'neil' port=5")).to.deep.equal({
      host: "h",
      dbname: "my db",
      user: "o'neil",
      port: "5",
    });
    expect(read("dbname=a\\ b options=''")).to.deep.equal({ dbname: "a b", options: "" });
    expect(read("service=night dbname=g")).to.deep.equal({ service: "night", dbname: "g" });
  });

  it("17-6 says that it holds a password, and keeps none", () => {
    const secrets = [
      `postgres://u:${marker}@h/g`,
      `postgres://h/g?password=${marker}`,
      `host=h password='${marker}'`,
      `host=h sslpassword=${marker}`,
      // As one mistypes it: a / or ? or = in it, escapes, another word, the variable, JDBC's.
      `postgres://u:12/${marker}@h/g`,
      `postgres://u:12?${marker}=1@h/g`,
      `postgres://u%3A${marker}@h/g`,
      `Postgres://u:${marker}@h/g`,
      `postgres://h/g?pass%77ord=${marker}`,
      `host=h password=ab ${marker}=1`,
      `PGPASSWORD=${marker} host=h`,
      `host=h PASSWORD = "${marker}"`,
      `jdbc:postgresql://h/g?user=u&password=${marker}`,
    ];
    for (const text of secrets) {
      expect(read(text)).to.include({ exposed: true });
      expect(JSON.stringify(parseConninfo(text, "--to")), text).not.to.contain(marker);
    }
    expect(read("postgres://h:5432/g?user=a@b")).to.deep.equal({ host: "h", port: "5432", dbname: "g", user: "a@b" });
    expect(read("postgres://u:@h/g")).not.to.have.property("exposed");
    for (const wrong of [
      marker,
      "",
      `host=h ${marker}`,
      `wrong=${marker}`,
      `postgres://h:${marker}/g`,
      `postgres://h/g?${marker}`,
      "postgres://h/%zz",
    ]) {
      expect(refusedBy(() => parseConninfo(wrong, "--to")).message, wrong)
        .to.match(/^the connection cannot be read: .* \[setting-invalid\]/)
        .and.not.contain(marker);
    }
  });

  it("17-6 wins over service and variables, which fill in what it leaves out", () => {
    const env = { PGHOST: "other", PGPORT: "7", PGUSER: "u", PGPASSWORD: marker, HOME: "/nonexistent" };
    const settings = resolveConnection(undefined, env, { ...to, values: { host: "h", dbname: "g" } });
    expect(settings.toString()).to.equal("h:7/g as u");
    expect(settings.explain()).to.contain("host, database from --to").and.contain("port from PGPORT");
    expect(settings.password()?.reveal()).to.equal(marker);
  });

  it("17-6 is what is to be corrected where it is wrong, and no key of a stack's configuration", () => {
    const failed = (code: string, values: object, env = {}): string => {
      const err = Object.assign(new Error("client password must be a string"), { code });
      if (code !== "") err.message = "no";
      return connectFailure(err, resolveConnection(undefined, { HOME: "/nonexistent", ...env }, { ...to, values }))
        .message;
    };
    const refused = (input: object | undefined, service?: string): string => {
      try {
        return resolveConnection(input, { HOME: "/nonexistent" }, { ...to, values: {}, service }).toString();
      } catch (err) {
        return err instanceof GuardianError ? err.message : "";
      }
    };
    const names = "--password-from (env:NAME or file:PATH) or PGPASSWORD names another";
    for (const [said, ...parts] of [
      [failed("ECONNREFUSED", { host: "h", port: "1" }), "correct the host in --to", "correct the port in --to"],
      [failed("ENOTFOUND", {}, { PGHOST: "h" }), "correct PGHOST, or set the host in --to, which wins over it"],
      [failed("ETIMEDOUT", { host: "h" }), "set the port in --to, or PGPORT (nothing names it yet)"],
      [failed("28P01", { user: "u" }, { PGPASSWORD: marker }), names, "correct the user in --to"],
      [failed("", { user: "u" }), "set --password-from to env:NAME or file:PATH"],
      [refused({ passwordFrom: "env:NONE" }), "where: --password-from (env:NONE)"],
      [refused({ passwordFrom: "file:/nonexistent" }), "where: --password-from (file:/nonexistent)"],
      [refused({ passwordFrom: marker }), "--password-from is neither env:NAME nor file:PATH", "change it"],
      [refused(undefined, "night"), "where: --to; looked in", "or: correct the service in --to"],
    ] as const) {
      for (const part of parts) expect(said).to.contain(part);
      expect(said).not.to.match(/guardian:|PGSERVICE|npm run db/);
      expect(said).not.to.contain(marker);
    }
  });
});
