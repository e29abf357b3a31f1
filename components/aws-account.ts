import * as pulumi from "@pulumi/pulumi";
import { getCallerIdentityOutput } from "@pulumi/aws/getCallerIdentity";
import type { Account } from "./aws-policies";

/** @returns the account that the AWS provider works in */
export const thisAccount = (options: pulumi.InvokeOutputOptions): pulumi.Output<Account> =>
  getCallerIdentityOutput({}, options).apply(({ arn, accountId }) => ({
    partition: arn.split(":")[1] ?? "aws",
    accountId,
  }));
