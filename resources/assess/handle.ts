import { assess } from "../../engine/assess";
import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import type { FunctionHandler } from "../../provider/types";
import { readAhead } from "../readings";
import { assessSpec } from "./spec";

export const assessHandler: FunctionHandler<Database> = {
  spec: assessSpec,
  async invoke(call) {
    const server = await call.host.server();
    const { items, volume } = await call.host.read(assess).catch((err: unknown) => {
      throw fromPostgres(err, "assessment");
    });
    // No output: a plan that was saved (up --plan) holds for other counts too, and Pulumi ends one that does not in silence.
    call.log.info(`v6 holds ${volume.map(({ status }) => status).join(" and ")}`);
    readAhead(call.host);
    return { server: `PostgreSQL ${server.version}`, items: items.map((item) => ({ ...item })) };
  },
};
