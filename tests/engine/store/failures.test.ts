import { expect } from "chai";
import { storeFailure } from "../../../engine/store/failures";
import { logIn } from "./harness";

describe("backups off the machine: what is said of a failure", () => {
  const where = "s3://backups/guardian/x";
  const said = (name: string, message: string): string =>
    storeFailure(Object.assign(new Error(message), { name }), "to be uploaded", where).message;

  it("18-4 it lets nobody in: no command of credential_process, no presigned URL, no key, no token", () => {
    const [key, token] = ["wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLE/Token+of=="];
    const logOut = logIn({ AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token });
    try {
      const texts: [name: string, message: string][] = [
        ["CredentialsProviderError", "Command failed: /opt/vault read --token SECRET1 aws\nvault: SECRET2 is revoked"],
        [
          "AccessDenied",
          "no: https://b.s3.amazonaws.com/k?a=1&X-Amz-Credential=SECRET1&X-Amz-Signature=SECRET2 refused",
        ],
        ["AccessDenied", "no: https://b.s3.amazonaws.com/k?AWSAccessKeyId=SECRET1&Expires=1&Signature=SECRET2"],
        [
          "SignatureDoesNotMatch",
          "of AWS4-HMAC-SHA256 Credential=SECRET1/20260101, SignedHeaders=host, Signature=SECRET2",
        ],
        ["InvalidAccessKeyId", "AKIASECRET1EXAMPLE99 is not known"],
        ["InvalidToken", 'not valid: {"token": "SECRET1"}'],
        ["Error", "connect ECONNREFUSED https://SECRET1:SECRET2@minio.internal:9000/"],
        ["Error", `a server that repeats ${key} and ${token}`],
      ];
      for (const [name, message] of texts) {
        expect(said(name, message), message).not.to.match(/SECRET\d/);
        for (const value of [key, token]) expect(said(name, message)).not.to.contain(value);
      }
    } finally {
      logOut();
    }
  });

  it("18-4 what helps to mend it is still there", () => {
    const denied =
      "User: arn:aws:iam::123456789012:role/x is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::b/k";
    expect(said("AccessDenied", denied)).to.contain(denied);
    expect(said("CredentialsProviderError", "Could not load credentials from any providers")).to.contain(
      "Could not load",
    );
    expect(said("CredentialsProviderError", "Command failed: x")).to.contain(
      "it says CredentialsProviderError: Command failed",
    );
    expect(said("Error", "getaddrinfo ENOTFOUND minio.internal")).to.contain("ENOTFOUND minio.internal");
  });
});
