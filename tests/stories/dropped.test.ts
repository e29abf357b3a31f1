import { expect } from "chai";
import { long } from "../support/long";
import { afterUp } from "../support/migrated";
import { differences, infrastructure, total } from "../support/story";

describe("what somebody changed or dropped by hand", function () {
  this.timeout(600_000);

  long(
    "is drift: refused by up, naming what differs, shown by refresh, never overwritten and never gone; it does not stop the rollback: destroy, then up, and all is well",
    function () {
      return afterUp(async ({ stack, db, fingerprint, before }) => {
        const admin = await db.connect("admin");
        await admin.query(
          "GRANT SELECT ON public.audit_log TO anon; CREATE POLICY open_door ON public.audit_log FOR SELECT TO anon USING (true)",
        );
        const changed = async (): Promise<string> => (await stack.up({ expectFailure: true })).output;
        const told = await changed();
        expect(told).to.contain("drift: table public.audit_log was changed by hand");
        expect(told).to.match(/now: rights .*anon=r\//);
        expect(told).to.contain("policy open_door on public.audit_log was added by hand");
        await stack.refresh();
        expect(await changed(), "after a refresh").to.contain("table public.audit_log was changed by hand");
        await admin.query("REVOKE ALL ON public.audit_log FROM anon; DROP POLICY open_door ON public.audit_log");
        await stack.refresh();
        expect((await stack.up()).changes).to.deep.equal({ same: total });
        await admin.query("DROP FUNCTION public.my_feature_flags(); DROP TABLE public.user_preferences CASCADE");
        expect(await changed()).to.contain("drift: function public.my_feature_flags() was dropped by hand");
        expect((await stack.refresh()).output).to.contain("drift: table public.user_preferences was dropped by hand");
        await stack.destroy();
        expect(differences(before, await fingerprint())).to.deep.equal([]);
        expect((await stack.up()).changes).to.deep.equal({ create: total });
        // The way back waits for nobody: what was done by hand to what stays is told, and refused when nothing goes any more.
        await admin.query("GRANT SELECT ON public.audit_log TO anon; DELETE FROM public.migration_sessions");
        stack.set({ through: "infrastructure" });
        const back = await stack.up();
        expect(back.output)
          .to.match(/table public\.audit_log was changed by hand: .*anon.*; left as it is while later stages go/)
          .and.contain("the session's row was deleted by hand; left so while later stages go");
        expect(back.changes["delete"]).to.equal(total - infrastructure);
        expect((await stack.up({ expectFailure: true })).output).to.contain("[objects-changed]");
        await admin.query("REVOKE ALL ON public.audit_log FROM anon");
        expect((await stack.up()).changes).to.deep.equal({ same: infrastructure });
        await stack.destroy();
      });
    },
  );
});
