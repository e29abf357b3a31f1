import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

/** What PostgreSQL itself takes (scram_iterations). */
const iterations = 4096;

/**
 * The verifier of a password, as PostgreSQL keeps it (RFC 5803; manual, pg_authid). Given to CREATE ROLE in the password's place,
 * neither Pulumi's state nor the server's log ever has the password. The salt is made of role and password, at the price of a try
 * at the verifier itself, so that the same password is the same verifier: with a new salt each run would find a change.
 * @param password printable ASCII, which SASLprep leaves as it is
 */
export function scramVerifier(role: string, password: string): string {
  const salt = pbkdf2Sync(password, `guardian ${role}`, iterations, 16, "sha256");
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const hmac = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(hmac("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored}:${hmac("Server Key").toString("base64")}`;
}
