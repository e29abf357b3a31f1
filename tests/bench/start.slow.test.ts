import { expect } from "chai";
import { bench } from "./run";

describe("bench start", function () {
  this.timeout(120_000);

  it("18-8 measures the program's import on dev, which loads nothing of a cloud, beside what guardian:aws needs", async () => {
    const { code, stdout, stderr } = await bench(["start", "--json", "--rounds", "1"]);
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    expect(Object.keys(figures)).to.deep.equal(["devMs", "snapshotMs", "packageMs", "devFiles", "snapshotFiles"]);
    expect(figures["devFiles"]).to.equal(0);
    expect(figures["snapshotFiles"]).to.be.within(1, 12);
    for (const name of ["devMs", "snapshotMs", "packageMs"]) expect(figures[name], name).to.be.above(0);
  });
});
