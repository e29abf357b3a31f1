import { expect } from "chai";
import { long } from "../support/long";
import { afterUp } from "../support/migrated";
import { differences, infrastructure, total } from "../support/story";

describe("what somebody dropped by hand", function () {
  this.timeout(600_000);

  long(
    "is refused by up, naming what differs, and does not stop the rollback: destroy, then up, and all is well",
    function () {
      return afterUp(async ({ stack, db, fingerprint, before }) => {
        const admin = await db.connect("admin");
        await admin.query("GRANT SELECT ON public.audit_log TO anon");
        const granted = await stack.up({ expectFailure: true });
        expect(granted.output).to.contain("drift: table public.audit_log was changed by hand");
        expect(granted.output).to.match(/now: rights .*anon=r\//);
        await admin.query("REVOKE ALL ON public.audit_log FROM anon");
        await admin.query("DROP FUNCTION public.my_feature_flags(); DROP TABLE public.user_preferences CASCADE");
        const { output } = await stack.up({ expectFailure: true });
        expect(output).to.contain("drift: function public.my_feature_flags() was dropped by hand");
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
