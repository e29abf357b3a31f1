import type * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import { Backup } from "../resources/backup/declare";
import { Ledger } from "../resources/ledger/declare";
import { MigrationSession } from "../resources/migration-session/declare";
import { isOn } from "./deployment";
import { acceptedOf, gateAt } from "./gate";
import { Stage, type StageArgs } from "./stage";

/** Makes what has to be there besides the backup before anything is changed. */
export type Beside = (backup: Backup, stage: pulumi.Resource) => pulumi.Resource;

interface InfrastructureArgs extends Omit<StageArgs, "ledgerId" | "judged"> {
  stack: string;
  /** Absent: the backup is enough. */
  beside?: Beside | undefined;
}

/** Phase 1 of the guide: the ledger, a backup, audit log, feature flags, migration tracking, and the session's row. */
export class Infrastructure extends Stage {
  readonly ledger: Ledger;
  readonly backup: Backup;
  readonly session: MigrationSession;

  constructor(args: InfrastructureArgs) {
    super("infrastructure", { ...args, judged: {} });
    const { config, plan } = args;
    const { purge, adopt, acknowledge } = config;
    const publications = Object.keys(config.publications).sort();
    // What is not given is no input: a stack of before it was known does not change by it.
    const given = {
      ...(adopt ? { adopt } : {}),
      ...(acknowledge ? { acknowledge } : {}),
      ...(publications.length > 0 ? { publications } : {}),
    };
    const switchesOn = plan.flags.some((flag) => isOn(config, flag));
    this.ledger = this.chain(new Ledger("ledger", { purge, ...given, switchesOn }, this.next()));
    const { ledgerId } = this.ledger;
    this.backup = this.chain(
      new Backup(
        "backup",
        {
          directory: config.backup.directory,
          jobs: config.backup.jobs,
          maxAgeSeconds: config.backup.maxAge,
          modules: [...plan.infrastructureModules, ...plan.schemaModules],
          migrations: plan.dataMigrations,
          ...checks(config),
          ledgerId,
        },
        this.next(),
      ),
    );
    if (args.beside) this.chain(args.beside(this.backup, this));
    // Before the first module: who is not ready has nothing to take back.
    this.chain(gateAt("before", { config, plan, ledgerId, judges: this.backup.protects }, this.next()));
    this.makeModules(plan.infrastructureModules, ledgerId);
    this.session = this.chain(
      new MigrationSession(
        "session",
        {
          migrationType: "v6_to_v7",
          sourceVersion: "v6.0",
          targetVersion: "v7.0",
          environment: args.stack,
          totalSteps: plan.totalSteps,
          migrations: plan.dataMigrations,
          through: plan.through,
          ledgerId,
        },
        this.next(),
      ),
    );
    this.registerOutputs({ ledgerId });
  }
}

/** How a backup is to be proven. What is not given is no input. */
function checks(config: StackConfig) {
  const { backup, strict, scratch } = config;
  const { verify, maxRestore } = backup;
  const accept = acceptedOf(config, (name) => name.startsWith("backup/"));
  return {
    verify,
    strict,
    ...(maxRestore === undefined ? {} : { maxRestoreSeconds: maxRestore }),
    ...(Object.keys(accept).length > 0 ? { accept } : {}),
    ...(scratch ? { scratch } : {}),
    ...storeOf(backup),
  };
}

/** Where it is stored off the machine, where it is. */
function storeOf({ to, recipients = [], ...backup }: StackConfig["backup"]) {
  const given = ofStore.filter((key) => backup[key] !== undefined).map((key) => [key, backup[key]] as const);
  return to === undefined
    ? {}
    : { store: { to, recipients, ...(Object.fromEntries(given) as Pick<typeof backup, (typeof ofStore)[number]>) } };
}

const ofStore = ["kmsKey", "region", "endpoint", "pathStyle", "identityFrom"] as const;
