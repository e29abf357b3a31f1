import { readFileSync, statSync } from "node:fs";
import type { ConnectionOptions, SecureVersion } from "node:tls";
import { GuardianError } from "../base/errors";
import type { ConnectionSettings } from "./settings";

/** One way to try a connection: without TLS, or with these options for Node's tls.connect. */
export type TlsAttempt = false | ConnectionOptions;

/**
 * What an sslmode tries, in order (manual, libpq, "SSL Support", table "SSL Mode Descriptions"). A unix-domain socket
 * never uses TLS.
 *
 * @throws GuardianError if a certificate, key or authority that the mode needs is not there or not private enough.
 */
export function tlsAttempts(settings: ConnectionSettings): readonly TlsAttempt[] {
  const { host, sslmode } = settings.fields;
  if (host.startsWith("/") || sslmode === "disable") return [false];
  const encrypted = tlsOptions(settings);
  if (sslmode === "allow") return [false, encrypted];
  return sslmode === "prefer" ? [encrypted, false] : [encrypted];
}

function tlsOptions(settings: ConnectionSettings): ConnectionOptions {
  const { host, hostaddr, sslmode, sslrootcert, sslcrl, minTls, maxTls } = settings.fields;
  const verifies = sslmode.startsWith("verify-");
  const system = sslrootcert === "system";
  const root = !system && exists(sslrootcert);
  if (verifies && !system && !root) {
    throw new GuardianError("tls-file-invalid", {
      what: `sslmode ${sslmode} needs the certificate authority's file, and ${sslrootcert} does not exist`,
      where: settings.toString(),
      todo: [
        "set PGSSLROOTCERT to the authority's certificate (hosted databases offer it for download)",
        "set PGSSLROOTCERT=system to trust the public authorities",
      ],
    });
  }
  // An authority's file that exists is used whatever the mode, so that "require" with it verifies the chain, as in libpq.
  const chain = system || root;
  return {
    rejectUnauthorized: chain,
    ...(root ? { ca: readFileSync(sslrootcert) } : {}),
    ...(chain && exists(sslcrl) ? { crl: readFileSync(sslcrl) } : {}),
    // Only verify-full asks whether the certificate is this host's.
    ...(sslmode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(hostaddr && hostaddr !== host ? { servername: host } : {}),
    ...clientCertificate(settings),
    minVersion: minTls as SecureVersion,
    ...(maxTls ? { maxVersion: maxTls as SecureVersion } : {}),
  };
}

/** The client's own certificate, used if it exists; its key must, and must be private. */
function clientCertificate(settings: ConnectionSettings): ConnectionOptions {
  const { sslcert, sslkey } = settings.fields;
  if (!exists(sslcert)) return {};
  const stats = statSync(sslkey, { throwIfNoEntry: false });
  if (!stats?.isFile()) {
    throw new GuardianError("tls-file-invalid", {
      what: `the client certificate ${sslcert} exists, its private key ${sslkey} does not`,
      where: settings.toString(),
      todo: "set PGSSLKEY to the key's file",
    });
  }
  // libpq's rule: 0600 or less, or 0640 or less where root owns the file.
  const tooOpen = stats.mode & (stats.uid === 0 ? 0o037 : 0o077);
  if (process.platform !== "win32" && tooOpen !== 0) {
    throw new GuardianError("tls-file-invalid", {
      what: `the private key ${sslkey} can be read by others`,
      where: settings.toString(),
      todo: `chmod 0600 ${sslkey}`,
    });
  }
  return { cert: readFileSync(sslcert), key: readFileSync(sslkey) };
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
