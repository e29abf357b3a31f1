import { builtByGo } from "./go";
import { S3Server } from "./s3-server";

/** A real S3 server for tests, from source. */
const version = "v1.8.0";
const source = `github.com/versity/versitygw/cmd/versitygw@${version}`;

/**
 * Its program; 90 s of processor time at the first call.
 * @throws Error that says why there is none
 */
export const versitygw = (): Promise<string> =>
  builtByGo({ name: "versitygw", version, args: () => ["install", "-ldflags=-s -w", source] });

/** Knows versions and object lock; passes over SSE-KMS in silence. */
export class Gateway extends S3Server {
  constructor(
    readonly program: string,
    /** Each folder in it is a bucket. */
    readonly folder: string,
    /** Where versions are kept; buckets can lock objects then. */
    readonly versions?: string,
  ) {
    super();
  }

  protected override launch(port: number) {
    const { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: secret } = this.credentials;
    const login = ["--access", access, "--secret", secret];
    const kept = this.versions === undefined ? [] : ["--versioning-dir", this.versions];
    const args = ["--port", `127.0.0.1:${port}`, ...login, "--quiet", "posix", ...kept, this.folder];
    return { program: this.program, args };
  }
}
