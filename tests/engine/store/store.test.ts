import { expect } from "chai";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchBackup, listStored, storeBackup } from "../../../engine/store";
import type { StoredPart } from "../../../engine/store/contents";
import type { Stored } from "../../../engine/store/storing";
import type { WantedStore } from "../../../engine/store/wanted";
import { S3Double, type Said } from "../../support/s3";
import { refusalOf } from "../module/harness";
import { logIn, makeBackup, marker, owner, pictureOf, wantedOf } from "./harness";

describe("backups off the machine", function () {
  this.timeout(60_000);
  const double = new S3Double();
  let folder = "";
  let secret = "";
  let recipient = "";
  let other = "";
  let logOut = (): void => undefined;
  before(async () => {
    const age = await import("age-encryption");
    [secret, other] = [await age.generateX25519Identity(), await age.generateX25519Identity()];
    recipient = await age.identityToRecipient(secret);
    folder = mkdtempSync(join(tmpdir(), "guardian-store-"));
    await double.start();
    logOut = logIn({ ...double.credentials, TEST_IDENTITY: secret, TEST_OTHER: other });
  });
  after(async () => {
    logOut();
    await double.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => double.reset());

  let count = 0;
  const backup = (big?: number) => makeBackup(folder, `guardian-${++count}`, big);
  const encrypted = (more: Partial<WantedStore> = {}): WantedStore =>
    wantedOf(double, { recipients: [recipient], ...more });
  const kept: StoredPart[][] = [];
  const store = async (it: ReturnType<typeof backup>, wanted: WantedStore, known: readonly StoredPart[] = []) => {
    const warned: string[] = [];
    const stored: Stored = await storeBackup(it, wanted, {
      owner,
      known,
      note: (parts) => Promise.resolve(void kept.push([...parts])),
      onProgress: () => undefined,
      onWarning: (line) => void warned.push(line),
    });
    return { stored, warned };
  };
  const puts = (): string[] =>
    double.asked
      .filter((one) => /^PUT .*[^/]$/.test(one) && !one.includes("partNumber"))
      .map((one) => one.replace(/^PUT guardian\/prod\/[^/]+\/|\?.*/g, ""));

  it("18-4 encrypted, whole, its index last; comes back as it was, into a folder that nobody else enters", async () => {
    const it = backup();
    const { stored, warned } = await store(it, encrypted({ identityFrom: "env:TEST_IDENTITY" }));
    expect(warned).to.deep.equal([]);
    expect(stored.at).to.equal(`s3://backups/guardian/prod/${it.name}`);
    const order = puts();
    expect([order[0], order.at(-1)]).to.deep.equal(["owner.json", "index.json"]);
    expect([...double.objects.keys()].sort()).to.deep.equal(
      [
        "dump/3001.dat.gz.age",
        "dump/3002.dat.gz.age",
        "dump/blobs.toc.age",
        "dump/toc.dat.age",
        "index.json",
        "manifest.json.age",
        "owner.json",
        "roles.sql.age",
      ].map((name) => `guardian/prod/${it.name}/${name}`),
    );
    const inParts = double.asked.filter((one) => one.includes("partNumber"));
    expect(inParts).to.have.length.of.at.least(2);
    for (const [key, bytes] of double.objects) expect(bytes.includes(marker), key).to.equal(false);

    const wanted = encrypted({ identityFrom: "env:TEST_IDENTITY" });
    const [listed] = await listStored(wanted);
    expect(listed?.index).to.deep.include({ name: it.name, encryption: "age", recipients: [recipient], owner });
    const back = join(folder, "back");
    const { indexSha256 } = stored;
    const { path } = await fetchBackup(wanted, it.name, { directory: back, indexSha256 });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));

    // A second run finds it there and compares it again, and nothing is sent.
    double.asked.length = 0;
    expect((await store(it, wanted, kept.at(-1))).stored).to.deep.equal(stored);
    expect(puts()).to.deep.equal([]);
  });

  it("18-4 a killed upload is no backup; the next run sends what is missing and no more", async () => {
    const it = backup(1000);
    const last = "dump/toc.dat.age";
    double.instead = ({ method, key }) => (method === "PUT" && key.endsWith(last) ? "hang up" : undefined);
    kept.length = 0;
    const refused = await refusalOf(store(it, encrypted()));
    expect(refused).to.include({ code: "store-unreachable", where: `s3://backups/guardian/prod/${it.name}/${last}` });
    double.instead = () => undefined;
    const listed = (await listStored(encrypted())).map(({ name, index }) => [name, index]);
    expect(listed).to.deep.equal([[it.name, undefined]]);
    const none = await refusalOf(fetchBackup(encrypted(), it.name, { directory: join(folder, "none") }));
    expect(none.code).to.equal("store-missing");

    const known = kept.at(-1) ?? [];
    expect(known.length, "noted").to.be.within(1, 5);
    double.asked.length = 0;
    const { stored } = await store(it, encrypted(), known);
    const sent = puts();
    for (const { object } of known) expect(sent).to.not.include(object);
    expect(sent).to.include.members([last, "index.json"]).and.not.include("owner.json");
    expect(stored.parts.length).to.equal(6);
  });

  it("18-4 an upload whose answer was lost is gone on with, and is nobody else's", async () => {
    const it = backup(1000);
    const lost = new Set<string>();
    // The store has taken it, and says no to the second try of the same.
    double.instead = ({ method, key, body }) => {
      const name = /(owner\.json|roles\.sql\.age|index\.json)$/.exec(key)?.[0];
      if (method !== "PUT" || name === undefined || lost.has(name)) return undefined;
      lost.add(name);
      double.objects.set(key, body);
      return { status: 412, code: "PreconditionFailed" };
    };
    const { stored } = await store(
      it,
      encrypted({ recipients: [recipient.toUpperCase()], identityFrom: "env:TEST_IDENTITY" }),
    );
    expect(lost.size).to.equal(3);
    double.instead = () => undefined;
    const directory = join(folder, "answer-lost");
    const wanted = encrypted({ identityFrom: "env:TEST_IDENTITY" });
    const { path } = await fetchBackup(wanted, it.name, { directory, indexSha256: stored.indexSha256 });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 what was stored as it was is gone when it is stored encrypted; a proof that came later is no other backup", async () => {
    const it = backup(1000);
    await store(it, wantedOf(double, {}));
    await store(it, encrypted());
    expect([...double.objects.keys()].filter((key) => !/(\.age|\/owner\.json|\/index\.json)$/.test(key))).to.deep.equal(
      [],
    );
    writeFileSync(join(it.path, "proof.json"), "{}", { mode: 0o600 });
    double.asked.length = 0;
    await store(it, encrypted(), kept.at(-1));
    expect(puts()).to.deep.equal([]);
  });

  it("18-4 removes what killed uploads of its own left, and nothing else; what object lock keeps is said and waits for nobody", async () => {
    const put = (name: string, text: string): void =>
      void double.objects.set(`guardian/prod/${name}`, Buffer.from(text));
    put("old/owner.json", JSON.stringify(owner));
    put("old/dump/toc.dat.age", "half");
    double.uploads.set("u1", { key: "guardian/prod/old/dump/3001.dat.gz.age", parts: new Map() });
    put("theirs/owner.json", JSON.stringify({ ...owner, systemIdentifier: "8" }));
    put("theirs/dump/toc.dat.age", "half");
    double.uploads.set("u2", { key: "guardian/prod/theirs/dump/3001.dat.gz.age", parts: new Map() });
    put("unmarked/file", "x");
    put("whole/owner.json", JSON.stringify(owner));
    put("whole/index.json", "{}");
    const locked: Said = {
      status: 403,
      code: "AccessDenied",
      message: "Access Denied because object protected by object lock.",
    };
    double.instead = ({ method }) => (method === "DELETE" ? locked : undefined);
    const { warned } = await store(backup(100), encrypted());
    expect(warned).to.have.length(1);
    expect(warned[0]).to.match(
      /^half an upload could not be removed from the store \(s3:\S+old\/\S+\): object lock keeps/,
    );
    double.instead = () => undefined;
    expect((await store(backup(100), encrypted())).warned).to.deep.equal([]);
    const left = new Set([...double.objects.keys()].map((key) => key.split("/")[2]));
    const stays = ["theirs", "unmarked", "whole"];
    expect(["old", ...stays].filter((name) => left.has(name))).to.deep.equal(stays);
    expect([...double.uploads.keys()]).to.deep.equal(["u2"]);
  });

  it("18-4 each way to fail is one error that says what to do, and leaves no backup there", async () => {
    const onPut =
      (said: Said) =>
      ({ method }: { method: string }) =>
        method === "PUT" ? said : undefined;
    const of = (status: number, code: string, message = ""): Said => ({ status, code, message });
    const cases: [string, Said, string][] = [
      ["store-credentials", of(403, "SignatureDoesNotMatch"), "does not know the credentials"],
      ["store-credentials", of(400, "ExpiredToken"), "have expired"],
      ["store-clock", of(403, "RequestTimeTooSkewed"), "clock of this machine"],
      ["store-denied", of(403, "AccessDenied", "not authorized to perform: s3:PutObject"), "s3:PutObject"],
      ["store-denied", of(400, "KMS.DisabledException"), "KMS key"],
      ["store-missing", of(404, "NoSuchBucket"), "bucket does not exist"],
      ["store-missing", of(301, "PermanentRedirect"), "another region"],
      ["store-damaged", of(400, "BadDigest"), "not what was sent"],
      ["store-foreign", of(412, "PreconditionFailed"), "already"],
      ["store-failed", of(507, "InsufficientStorage"), "no room"],
      ["store-failed", of(500, "InternalError", "disk"), "the store failed"],
    ];
    const it = backup(100);
    for (const [code, said, text] of cases) {
      double.reset();
      double.instead = onPut(said);
      const refused = await refusalOf(store(it, encrypted()));
      expect(refused.code, JSON.stringify(said)).to.equal(code);
      expect(refused.what, code).to.include(text);
      expect(refused.todo.length, code).to.be.at.least(1);
      expect([...double.objects.keys()].filter((key) => key.endsWith("index.json"))).to.deep.equal([]);
    }
    double.reset();
    const logBack = logIn({ AWS_ACCESS_KEY_ID: "ANOTHER" });
    expect((await refusalOf(store(it, encrypted()))).code).to.equal("store-credentials");
    logBack();
    const gone = await refusalOf(store(it, encrypted({ to: "s3://elsewhere/x" })));
    expect(gone).to.include({ code: "store-missing" });
    const dead = await refusalOf(store(it, encrypted({ endpoint: "http://127.0.0.1:9" })));
    expect(dead.code).to.equal("store-unreachable");
  });

  it("18-4 what the store changed is found by reading it back, and sent anew by the next run", async () => {
    const it = backup(1000);
    const wanted = encrypted();
    const object = `guardian/prod/${it.name}/dump/3002.dat.gz.age`;
    let spoilt = false;
    double.instead = ({ method, key }) => {
      const bytes = double.objects.get(object);
      if (method === "GET" && key === object && bytes && !spoilt) {
        spoilt = true;
        const copy = Buffer.from(bytes);
        copy[500]! ^= 1;
        double.objects.set(object, copy);
      }
      return undefined;
    };
    const refused = await refusalOf(store(it, wanted));
    expect(refused).to.include({ code: "store-damaged", where: `s3://backups/${object}` });
    const known = kept.at(-1) ?? [];
    expect(known.map(({ path }) => path)).to.not.include("dump/3002.dat.gz");
    double.asked.length = 0;
    await store(it, wanted, known);
    expect(puts()).to.deep.equal(["dump/3002.dat.gz.age", "index.json"]);

    // Spoilt afterwards, or by another's key: nothing of it comes to this machine.
    const copy = Buffer.from(double.objects.get(object)!);
    copy[copy.length - 1]! ^= 1;
    double.objects.set(object, copy);
    const directory = join(folder, "nothing");
    const from = (name: string) => refusalOf(fetchBackup(encrypted({ identityFrom: name }), it.name, { directory }));
    expect((await from("env:TEST_IDENTITY")).code).to.equal("backup-broken");
    expect((await from("env:TEST_OTHER")).code).to.equal("age-no-identity");
    expect((await refusalOf(fetchBackup(encrypted(), it.name, { directory }))).code).to.equal("age-no-identity");
    expect(readdirSync(directory)).to.deep.equal([]);
  });

  it("18-4 KMS: asked for with every upload, and refused where the server passes over it; recipients none: as it is", async () => {
    const it = backup();
    const { stored } = await store(it, wantedOf(double, { kmsKey: "alias/guardian" }));
    for (const [key, headers] of double.headers) {
      expect(headers["x-amz-server-side-encryption"], key).to.equal("aws:kms");
      expect(headers["x-amz-server-side-encryption-aws-kms-key-id"], key).to.equal("alias/guardian");
    }
    expect(stored.parts.map(({ object }) => object)).to.include("dump/toc.dat");
    expect(double.objects.get(`guardian/prod/${it.name}/dump/toc.dat`)?.includes(marker)).to.equal(true);
    const { path } = await fetchBackup(wantedOf(double, {}), it.name, { directory: join(folder, "plain") });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
    double.reset();
    double.kms = false;
    const refused = await refusalOf(store(backup(100), encrypted({ kmsKey: "alias/guardian" })));
    expect(refused.code).to.equal("store-unencrypted");
  });

  it("18-4 refuses before it sends: a file that is not what was written, another's folder, an identity of nobody it is for", async () => {
    const it = backup(100);
    writeFileSync(join(it.path, "roles.sql"), "-- changed", { mode: 0o600 });
    expect((await refusalOf(store(it, encrypted()))).code).to.equal("backup-broken");
    double.reset();
    double.objects.set(`guardian/prod/${it.name}/owner.json`, Buffer.from("{}"));
    expect((await refusalOf(store(it, encrypted()))).code).to.equal("store-foreign");
    double.reset();
    const nobody = await refusalOf(store(it, encrypted({ identityFrom: "env:TEST_OTHER" })));
    expect([nobody.code, double.asked.length]).to.deep.equal(["age-no-identity", 0]);
    for (const name of ["../x", "a/b", ""]) {
      expect((await refusalOf(fetchBackup(encrypted(), name, { directory: folder }))).code).to.equal("store-missing");
    }
    const index = { formatVersion: 1, name: "n", owner, takenAt: "", encryption: "none", recipients: [] };
    const parts = ["manifest.json", "../../etc/x"].map((path) => ({ path, object: path, size: 1, sha256: "" }));
    double.objects.set("guardian/prod/n/index.json", Buffer.from(JSON.stringify({ ...index, parts })));
    const twice = ["manifest.json", "manifest.json"].map((path) => ({ path, object: path, size: 1, sha256: "" }));
    double.objects.set("guardian/prod/m/index.json", Buffer.from(JSON.stringify({ ...index, parts: twice })));
    expect((await refusalOf(fetchBackup(encrypted(), "m", { directory: folder }))).what).to.include("a file twice");
    const outside = await refusalOf(fetchBackup(encrypted(), "n", { directory: folder }));
    expect(outside.what).to.include("names a file that is none of a backup's");
  });
});
