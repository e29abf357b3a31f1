import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { allOnPath } from "../../scripts/pulumi/paths";
import { S3Server } from "./s3-server";

/** Every package that is installed, by its version. */
const packages = join(__dirname, "moto.txt");

/**
 * A Python with moto, AWS's calls as a server: what versitygw passes over, SSE-KMS and policies of IAM, it knows. Installed
 * once from PyPI into $XDG_CACHE_HOME/guardian, else ~/.cache/guardian.
 * @returns the path of that Python
 * @throws Error that says why there is none
 */
export async function moto(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(packages)).digest("hex").slice(0, 12);
  const caches = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "guardian");
  const folder = join(caches, `moto-${hash}`);
  const python = join(folder, "bin", "python");
  if (existsSync(python)) return python;
  const [base] = allOnPath("python3", env);
  if (base === undefined) throw new Error("there is no python3 on PATH");
  const draft = `${folder}.draft-${process.pid}`;
  mkdirSync(caches, { recursive: true });
  const run = promisify(execFile);
  try {
    await run(base, ["-m", "venv", draft], { env, timeout: 120_000 });
    const install = ["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirement", packages];
    await run(join(draft, "bin", "python"), ["-m", "pip", ...install], { env, timeout: 400_000 });
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return python;
}

/** The variables by which the SDK logs in as a user of IAM. */
type User = Record<"AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY", string>;

/** It keeps all in memory, and asks for no credentials until it is told to. */
export class Moto extends S3Server {
  constructor(readonly python: string) {
    super();
  }

  protected override launch(port: number) {
    return { program: this.python, args: ["-m", "moto.server", "--host", "127.0.0.1", "--port", String(port)] };
  }

  /** @returns the ARN of a new key of KMS */
  async makeKey(): Promise<string> {
    const headers = { "x-amz-target": "TrentService.CreateKey", "content-type": "application/x-amz-json-1.1" };
    const answer = await this.#call("kms", { body: "{}", headers });
    return (JSON.parse(answer) as { KeyMetadata: { Arn: string } }).KeyMetadata.Arn;
  }

  /** A new user of IAM with one policy. */
  async makeUser(name: string, policy: string): Promise<User> {
    await this.#iam({ Action: "CreateUser", UserName: name });
    await this.allow(name, policy);
    const made = await this.#iam({ Action: "CreateAccessKey", UserName: name });
    const of = (tag: string): string => new RegExp(`<${tag}>(.*?)</${tag}>`).exec(made)?.[1] ?? "";
    return { AWS_ACCESS_KEY_ID: of("AccessKeyId"), AWS_SECRET_ACCESS_KEY: of("SecretAccessKey") };
  }

  /** Gives a user another policy in place of what it had. */
  async allow(name: string, policy: string): Promise<void> {
    const asked = { Action: "PutUserPolicy", UserName: name, PolicyName: "only", PolicyDocument: policy };
    await this.#iam(asked);
  }

  /** Has it ask every caller for signature and rights, or nobody. */
  async enforce(whether: boolean): Promise<void> {
    await this.#call("moto-api/reset-auth", { body: whether ? "0" : "inf" });
  }

  async #iam(asked: Record<string, string>): Promise<string> {
    const body = new URLSearchParams({ ...asked, Version: "2010-05-08" });
    return this.#call("iam", { body, headers: { "content-type": "application/x-www-form-urlencoded" } });
  }

  /** It tells services apart by the scope of the signature, which it does not look at otherwise. */
  async #call(
    what: string,
    { body, headers = {} }: { body: string | URLSearchParams; headers?: Record<string, string> },
  ): Promise<string> {
    const own = what.startsWith("moto-api");
    const scope = `Credential=TESTKEY/20260101/us-east-1/${what}/aws4_request`;
    const signed = `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0`;
    const answer = await fetch(`${this.endpoint}/${own ? what : ""}`, {
      method: "POST",
      headers: { ...(own ? {} : { authorization: signed }), ...headers },
      body,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`moto: ${what} ${answer.status} ${text}`);
    return text;
  }
}
