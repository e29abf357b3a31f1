import type * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Calls } from "../../provider/calls";
import { EngineLog } from "../../provider/log";

/** Makes a call whose work ends when the test says so, and counts the answers. */
function begin(calls: Calls) {
  const answers: string[] = [];
  let signal: AbortSignal | undefined;
  let resolve: (answer: string) => void = () => undefined;
  let reject: (err: Error) => void = () => undefined;
  const promise = new Promise<string>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  const method = calls.method<string, string>((_request, given) => {
    signal = given;
    return promise;
  });
  const call = Object.assign(new EventEmitter(), { request: "" });
  method(call as unknown as grpc.ServerUnaryCall<string, string>, (err, response) => {
    answers.push(err ? `failed: ${(err as Error).message}` : String(response));
  });
  return { call, answers, resolve, reject, aborted: () => signal?.aborted };
}

describe("provider/calls: each call is answered exactly once", () => {
  it("when its work ends after the process came to grief", async () => {
    const calls = new Calls(new EngineLog());
    const [one, other] = [begin(calls), begin(calls)];
    calls.fail(new Error("a stray throw"));
    expect([one.aborted(), other.aborted()]).to.deep.equal([true, true]);
    one.resolve("too late");
    other.reject(new Error("too late"));
    await sleep(20);
    expect([one.answers, other.answers]).to.deep.equal([["failed: a stray throw"], ["failed: a stray throw"]]);
    expect(calls.size).to.equal(0);
    expect(() => calls.throwIfBroken()).to.throw("a stray throw");
  });

  it("and stops where the engine gave it up, unless it was answered before", async () => {
    const calls = new Calls(new EngineLog());
    const [one, other] = [begin(calls), begin(calls)];
    other.resolve("done");
    await sleep(20);
    for (const { call } of [one, other]) call.emit("cancelled", "cancelled");
    expect([one.aborted(), other.aborted()]).to.deep.equal([true, false]);
  });

  it("when it was answered before", async () => {
    const calls = new Calls(new EngineLog());
    const call = begin(calls);
    expect(calls.size).to.equal(1);
    call.resolve("done");
    await sleep(20);
    calls.cancel("^C");
    calls.fail(new Error("a stray throw"));
    calls.fail(new Error("another"));
    await sleep(20);
    expect([call.answers, call.aborted()]).to.deep.equal([["done"], false]);
    expect(() => calls.throwIfBroken()).to.throw("a stray throw");
  });
});
