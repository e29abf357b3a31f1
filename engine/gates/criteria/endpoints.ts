import { some, type Endpoint, type Finding, type Outcome, type Site } from "../check";
import { faultsNamed } from "../faults";
import { ask, type Answer } from "./ask";

interface Asked extends Answer {
  readonly endpoint: Endpoint;
  /** What is not as it should be; nothing where all is. */
  readonly fault?: string;
}

/** Of the figures: more of it is worse. */
export const worse = ["failing"];

/**
 * Asks all of them at once.
 * @param content what is wrong with an answer's body, where that is wanted
 */
export function askAll(
  { declared }: Site,
  wanted: readonly Endpoint[],
  content?: (body: string | undefined) => string | undefined,
): Promise<Asked[]> {
  return Promise.all(
    wanted.map(async (endpoint): Promise<Asked> => {
      const answer = await ask(endpoint, declared.env, content !== undefined);
      const fault = answer.failure ?? otherStatus(answer, endpoint) ?? content?.(answer.body);
      return { ...answer, endpoint, ...(fault === undefined ? {} : { fault }) };
    }),
  );
}

const otherStatus = ({ status }: Answer, { status: wanted }: Endpoint): string | undefined =>
  status === wanted ? undefined : `answered ${status} in place of ${wanted}`;

/**
 * What came of it. What was so before the migration already is said, and is no reason to let it pass. Which answers are wrong
 * since then is a figure: where there is none the network, a proxy or this machine may be to blame. What was not asked
 * could not run, where all others are as they should be.
 * @param check the check's name
 */
export function judged(asked: readonly Asked[], check: string, { before }: Site): Finding {
  const wrong = asked.filter(({ fault }) => fault !== undefined);
  const slowestMs = Math.max(...asked.map(({ ms }) => ms));
  const earlier = before.get(check);
  const answeredWrong = wrong.filter(({ status, endpoint }) => status !== 0 && !wasWrong(endpoint, before));
  const figures = { endpoints: asked.length, failing: wrong.length, answeredWrong: answeredWrong.length, slowestMs };
  const was = earlier ? [`before the migration: ${earlier.verdict}, ${earlier.evidence[0] ?? ""}`] : [];
  if (wrong.length === 0)
    return {
      verdict: "passed",
      evidence: [`${asked.length} of ${asked.length} respond, in ${slowestMs} ms at most`, ...was],
      figures,
    };
  const unasked = wrong.filter((one) => one.unasked);
  const lines = wrong.map(({ endpoint, fault }) => `${endpoint.url}: ${fault ?? ""}`);
  return {
    verdict: unasked.length === wrong.length ? "could not run" : "failed",
    evidence: [`${asked.length - wrong.length} of ${asked.length} respond`, ...some(lines), ...was],
    figures,
    // As many may fail as did, and be others; what was not asked may be asked, and answer wrongly.
    ...faultsNamed(check, [...lines].sort()),
    mend: [
      ...(unasked.length > 0 ? ["set the variable with the header where Pulumi runs"] : []),
      ...(unasked.length < wrong.length
        ? ["see what the application says of it; where it is meant to answer otherwise, guardian:endpoints says how"]
        : []),
    ],
  };
}

/** Whether an endpoint was not as it should be before the migration either; or was one of those that were not told any more. */
function wasWrong({ url }: Endpoint, before: ReadonlyMap<string, Outcome>): boolean {
  const { evidence = [], figures = {} } = before.get("api-endpoints") ?? {};
  const lines = evidence.filter((line) => line.includes("://"));
  return lines.some((line) => line.startsWith(`${url}: `)) || (figures["failing"] ?? 0) > lines.length;
}
