import * as pulumi from "@pulumi/pulumi";
import { besideBackup } from "./components/beside";
import { Data } from "./components/data";
import { Deployment } from "./components/deployment";
import { Infrastructure } from "./components/infrastructure";
import { allModules, planThrough } from "./components/plan";
import { Schema } from "./components/schema";
import { kept } from "./components/secrets";
import { flagNames, readConfig } from "./config";
import { assess } from "./resources/assess/declare";
import { GuardianProvider } from "./resources/provider/declare";

/** The migration from top to bottom. `guardian:through` says how far it goes; lowering it rolls the rest back. */
export = async () => {
  const config = readConfig(allModules());
  const stack = pulumi.getStack();
  const plan = planThrough(config.through, [...flagNames, ...Object.keys(config.flags)]);

  const provider = new GuardianProvider("database", { database: config.database, locks: config.locks }, config.secrets);
  const modules = [...plan.infrastructureModules, ...plan.schemaModules];
  const accepted = Object.keys(config.publications).sort();
  const { dataMigrations: migrations, flags } = plan;
  const assessment = await assess(
    { modules, migrations, flags, accepted, operators: Object.keys(config.operators).sort() },
    { provider },
  );

  const { beside, outputs } = besideBackup(config, stack);
  const infrastructure = new Infrastructure({ provider, after: undefined, config, plan, stack, beside });
  const { ledgerId } = infrastructure.ledger;
  let before: Pick<Schema, "last" | "judged"> = infrastructure;
  const from = ({ last, judged }: typeof before) => ({ provider, after: last, ledgerId, config, plan, judged });

  if (plan.reaches("schema")) before = new Schema(from(before));
  if (plan.reaches("data")) before = new Data(from(before));
  if (plan.reaches("deployment")) {
    const { sessionId } = infrastructure.session;
    new Deployment({ ...from(before), sessionId });
  }

  const items = assessment.items.map(({ item, status, readiness }) => `${item}: ${status} (${readiness})`);
  return {
    through: kept(config, ["through"], config.through),
    server: assessment.server,
    assessment: kept(config, ["publications", "operators"], items),
    ledger: ledgerId,
    backup: infrastructure.backup.path,
    proof: infrastructure.backup.proof,
    session: infrastructure.session.sessionId,
    ...outputs,
  };
};
