import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { isGone, ownMark } from "../../engine/base/process";
import { skip } from "../support/skip";

describe("whether a process is gone", () => {
  const own = ownMark();
  const boot = "00000000-0000-4000-8000-000000000000";
  const [, numbers = ""] = own.space.split(" ");

  it("is told of one here, by its number and when it was started", async () => {
    expect(isGone(own)).to.equal(false);
    expect(isGone({ ...own, started: "1" })).to.equal(true);
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    expect(isGone({ ...own, pid: child.pid ?? 0 })).to.equal(true);
  });

  it("is not told of another machine's, nor of a container's beside this one", function () {
    if (process.platform !== "linux") skip(this, "no spaces of process numbers: not Linux");
    expect(isGone({ ...own, host: `not-${own.host}` })).to.equal(undefined);
    expect(isGone({ ...own, space: own.space.replace(numbers, "pid:[1]") })).to.equal(undefined);
  });

  it("17-3 after another start it is gone if the machine is this one, and not told if only its name is the same", function () {
    if (process.platform !== "linux") skip(this, "no spaces of process numbers: not Linux");
    const before = { ...own, space: `${boot} ${numbers}` };
    const other = "0123456789abcdef0123456789abcdef";
    // Where this machine does not say which it is, as in a container, none can be this one.
    expect(isGone(before)).to.equal(own.machine === "" ? undefined : true);
    const older = { host: before.host, space: before.space, pid: before.pid, started: before.started };
    for (const mark of [{ ...before, machine: other }, { ...before, machine: "" }, older])
      expect(isGone(mark)).to.equal(undefined);
  });
});
