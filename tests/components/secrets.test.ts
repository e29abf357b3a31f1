import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { configuration } from "../../config/keys";
import { age, consent, raw, user } from "../support/config";
import { declaredIn } from "../support/declared";

/** Each says something that stands nowhere else. */
const config = raw({
  through: "deployment",
  database: { host: "SECRET-host", database: "SECRET-db" },
  locks: { timeout: "123ms" },
  legacyConsent: { ...consent, statement: "SECRET, and in words" },
  flags: { telehealth: { description: "SECRET visits" } },
  rollout: { telehealth: 37 },
  allowList: { multi_tenancy: [user] },
  acknowledge: user,
  adopt: user,
  purge: true,
  backup: { directory: "SECRET-folder", jobs: 7, maxAge: "1234s", to: "s3://secret-bucket", recipients: [age] },
  scratch: { host: "SECRET-scratch" },
  gates: { maxDataLoss: 0.0123 },
  publications: { SECRET_publication: "accepted" },
  operators: { SECRET_role: "accepted" },
  accept: { "row-security": "SECRET reason", "backup/public.t": "SECRET reason" },
  strict: true,
  onBreach: "rollback",
  signOff: { "support-trained": { by: "SECRET Lovelace", on: "2026-11-30", note: "a course of two days" } },
  endpoints: [{ url: "https://secret.example.org/health" }],
  aws: { instance: "secret-db" },
});

const told = new RegExp(`secret|${user}|\\b(37|123|1234|0\\.0123)\\b`, "i");

describe("components: what is a secret in the stack's file", function () {
  this.timeout(120_000);

  const program = (secrets: string[]) => {
    const outputs = ({ name }: { name: string }) => ({
      ...{ ledgerId: "l", sessionId: "s", path: "p", proof: "proven", meaning: `${name} means`, covers: "c-1" },
      protects: { "000_audit_log": "it means" },
    });
    const call = (): Record<string, unknown> => ({
      ...{ server: "PostgreSQL", told: [] },
      items: [{ item: "Publications", status: "SECRET_publication", readiness: "Ready", action: "" }],
    });
    return declaredIn(".", { project: "guardian", stack: "dev", config, secrets }, { outputs, call });
  };

  it("is one in every resource's inputs and in the stack's outputs; what is none is none", async () => {
    const keys = Object.keys(configuration.fields).map((key) => `guardian:${key}`);
    expect(Object.keys(config), "a new key stands here too").to.have.members(keys);
    const { resources, result } = await program(keys);
    expect(resources.length).to.be.above(30);
    const clear = resources.flatMap(({ name, inputs, secrets = [] }) =>
      Object.entries(inputs).flatMap(([key, value]) =>
        !secrets.includes(key) && told.test(JSON.stringify(value)) ? [`${name}.${key}`] : [],
      ),
    );
    expect(clear).to.deep.equal([]);
    const strict = resources.filter(({ inputs, secrets = [] }) => "strict" in inputs && !secrets.includes("strict"));
    expect(strict).to.deep.equal([]);
    for (const key of ["through", "assessment"])
      expect(await pulumi.isSecret(pulumi.output(result[key])), key).to.equal(true);
    const besides = (wanted: string) => resources.find(({ name }) => name === wanted)?.secretOutputs;
    expect(besides("backup")).to.include.members(["path", "storedIn", "database"]);
    expect(besides("gate-end")).to.include.members(["outcomes", "accepted", "database"]);

    const plain = await program([]);
    const listed = plain.resources.filter(({ secrets, secretOutputs }) => secrets ?? secretOutputs);
    expect(listed.map(({ name, secrets, secretOutputs }) => [name, secrets, secretOutputs])).to.deep.equal([
      ["multi_tenancy", ["enabledForUsers"], undefined],
    ]);
    expect(plain.result["through"]).to.equal("deployment");
  });
});
