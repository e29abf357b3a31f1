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
    const items = await call.host.read(assess).catch((err: unknown) => {
      throw fromPostgres(err, "assessment");
    });
    readAhead(call.host);
    return { server: `PostgreSQL ${server.version}`, items: items.map((item) => ({ ...item })) };
  },
};
