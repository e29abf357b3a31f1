import { CutWire } from "../../support/cut-wire";

/** A wire to a server that loses the answer to the nth COMMIT from now on: the server has committed, nobody hears of it. */
export class Wire extends CutWire {
  /** COMMITs that are let through before the cut; Infinity for no cut. */
  letThrough = Infinity;

  protected override cutNow(): "no" | "after" {
    if (this.letThrough-- > 0) return "no";
    this.letThrough = Infinity;
    return "after";
  }
}
