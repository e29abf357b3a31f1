import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** What a FHIR server of R4 says of itself, as small as it may be. */
export const capabilities = {
  resourceType: "CapabilityStatement",
  status: "active",
  date: "2026-11-30",
  kind: "instance",
  implementation: { description: "a double" },
  fhirVersion: "4.0.1",
  format: ["json"],
  rest: [{ mode: "server" }],
};

/** An application on this machine: what it answers by path, and what it was asked. */
export async function withApplication(
  work: (url: string, requests: IncomingMessage[]) => Promise<void>,
): Promise<void> {
  const requests: IncomingMessage[] = [];
  const answers: Record<string, [status: number, body: unknown]> = {
    "/ok": [200, "row of a patient"],
    "/gone": [503, "row of a patient"],
    "/fhir/metadata": [200, capabilities],
    "/r5/metadata": [200, { ...capabilities, fhirVersion: "5.0.0" }],
    "/patient/metadata": [200, { resourceType: "Patient", name: "row of a patient" }],
    "/page/metadata": [200, "<html>"],
  };
  const server = createServer((request, response) => {
    requests.push(request);
    const path = request.url ?? "";
    if (path === "/silent") return;
    if (path === "/moved") response.writeHead(302, { location: "/ok" }).end();
    else if (path === "/mine")
      response.writeHead(request.headers.authorization === "Bearer of-a-patient" ? 200 : 401).end();
    else {
      const [status, body] = answers[path] ?? [404, ""];
      response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
