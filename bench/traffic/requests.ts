import { escapeLiteral, type Client } from "pg";
import { become } from "../../scripts/v6/database";

/** Whom requests are about. None of them exists. */
export interface People {
  /** Accounts that log in with an address. */
  accounts: { id: string; email: string }[];
  /** Owners of documents, each with one of his. */
  patients: { id: string; document: string }[];
}

/** One kind of request of the v6 application. */
export interface RequestClass {
  name: string;
  /** Its share of the traffic; all shares together are 100. */
  share: number;
  /** Its statements for the n-th of the people. */
  sql: (people: People, n: number) => string;
}

/** What uploads and results of the traffic are called, so that they can be taken away again. */
const mark = "traffic/";

/** The n-th, counted round and round. */
function pick<T>(list: readonly T[], n: number): T {
  const one = list[n % list.length];
  if (one === undefined) throw new RangeError("there is nobody to make a request for");
  return one;
}

function patient(statement: (one: People["patients"][number]) => string): RequestClass["sql"] {
  return ({ patients }, n) => {
    const one = pick(patients, n);
    return become("authenticated", one.id) + statement(one);
  };
}

/**
 * The mix: seven reads of ten, logins, uploads and what the edge functions write. Each request is one message with several
 * statements, which is one transaction (manual, 55.2.2.1), so that the generator costs as little as it can.
 */
export const classes: readonly RequestClass[] = [
  {
    name: "login",
    share: 15,
    sql: ({ accounts }, n) => {
      const { id, email } = pick(accounts, n);
      return `${become("supabase_auth_admin")}
        SELECT id, encrypted_password, email_confirmed_at FROM auth.users
        WHERE email = ${escapeLiteral(email)} AND is_sso_user = false;
        UPDATE auth.users SET last_sign_in_at = now(), updated_at = now() WHERE id = '${id}'`;
    },
  },
  {
    name: "documents",
    share: 25,
    sql: patient(
      ({ id }) => `SELECT id, original_name, mime_type, status, created_at, medical_data FROM public.documents
        WHERE user_id = '${id}' ORDER BY created_at DESC LIMIT 20`,
    ),
  },
  {
    name: "labs",
    share: 25,
    sql: patient(
      ({ id }) => `SELECT test_name, result_value, unit, reference_range, test_date FROM public.patient_lab_results
        WHERE user_id = '${id}' ORDER BY test_date DESC LIMIT 50`,
    ),
  },
  {
    name: "profile",
    share: 20,
    sql: ({ accounts }, n) => {
      const { id } = pick(accounts, n);
      return `${become("authenticated", id)}
        SELECT language, timezone, first_name, last_name FROM public.user_profiles WHERE user_id = '${id}'`;
    },
  },
  {
    name: "upload",
    share: 10,
    sql: patient(
      ({ id }) => `INSERT INTO public.documents (user_id, s3_key, original_name, mime_type)
        VALUES ('${id}', '${mark}${id}', 'a.pdf', 'application/pdf') RETURNING id`,
    ),
  },
  {
    name: "result",
    share: 5,
    sql: ({ patients }, n) => {
      const { id, document } = pick(patients, n);
      return `${become("service_role")}
        INSERT INTO public.patient_lab_results (user_id, test_name, result_value, unit, test_date, source_document_id)
        VALUES ('${id}', '${mark}', '5.1', '%', current_date, '${document}')`;
    },
  },
];

/** A number below 2 to the 32nd from a counter, evenly spread and the same in every run (the finaliser of murmur3). */
function scatter(n: number): number {
  let h = Math.imul(n + 1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const drawn = classes.flatMap(({ share }, index) => new Array<number>(share).fill(index));

/** The n-th request: which class, and its statements. */
export function request(people: People, n: number): { index: number; sql: string } {
  const index = drawn[scatter(n) % drawn.length] ?? 0;
  return { index, sql: classes[index]?.sql(people, scatter(~n)) ?? "" };
}

/** Reads whom requests can be about, in no order. */
export async function readPeople(admin: Client): Promise<People> {
  const accounts = await admin.query<People["accounts"][number]>(
    `SELECT id, email FROM auth.users WHERE email IS NOT NULL AND NOT is_sso_user ORDER BY md5(id::text) LIMIT 50000`,
  );
  const patients = await admin.query<People["patients"][number]>(
    `SELECT DISTINCT ON (user_id) user_id AS id, id AS document FROM public.documents
     WHERE user_id IS NOT NULL ORDER BY user_id, id LIMIT 50000`,
  );
  return { accounts: accounts.rows, patients: patients.rows };
}

/** Takes away what the traffic added, so that the next window begins like the one before. */
export async function tidy(admin: Client): Promise<void> {
  await admin.query(`DELETE FROM public.patient_lab_results WHERE test_name = '${mark}'`);
  await admin.query(`DELETE FROM public.documents WHERE starts_with(s3_key, '${mark}')`);
  await admin.query("VACUUM (ANALYZE)");
  await admin.query("CHECKPOINT");
}
