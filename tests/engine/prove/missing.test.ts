import { expect } from "chai";
import { withEmpty } from "../../support/postgres";
import { useDumps } from "../dumps";
import { useScratch } from "./scratch";

/**
 * An extension of which no server has the files, as `http` is on most: types, functions that use them, a base type with an
 * operator, its class and an aggregate, a wrapper, a table of its own. And what others made with these.
 */
const httplike = `
CREATE SCHEMA net;
CREATE DOMAIN net.http_method AS text;
CREATE TYPE net.kind AS ENUM ('a', 'b');
CREATE TYPE net.http_header AS (field varchar, value varchar);
CREATE TYPE net.http_response AS (status int, headers net.http_header[], content varchar, sort net.kind);
CREATE FUNCTION net.http_get(uri varchar, n int DEFAULT 1) RETURNS net.http_response LANGUAGE sql AS 'SELECT NULL::net.http_response';
CREATE FUNCTION net.each_of(INOUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql AS 'SELECT 1, NULL::text';
CREATE FUNCTION net.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION net.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE PROCEDURE net.does(a int) LANGUAGE sql AS '';
CREATE TYPE net.vec;
CREATE FUNCTION net.vec_in(cstring) RETURNS net.vec LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION net.vec_out(net.vec) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE net.vec (INPUT = net.vec_in, OUTPUT = net.vec_out, LIKE = text);
CREATE FUNCTION net.near(net.vec, net.vec) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1::text = $2::text';
CREATE OPERATOR net.~~~ (LEFTARG = net.vec, RIGHTARG = net.vec, FUNCTION = net.near);
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE TABLE net.jobs (i int);
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  VALUES (99999, 'httplike', 10, 'net'::regnamespace, false, '1.6');
ALTER EXTENSION httplike ADD DOMAIN net.http_method; ALTER EXTENSION httplike ADD TYPE net.kind;
ALTER EXTENSION httplike ADD TYPE net.http_header; ALTER EXTENSION httplike ADD TYPE net.http_response;
ALTER EXTENSION httplike ADD FUNCTION net.http_get; ALTER EXTENSION httplike ADD FUNCTION net.each_of;
ALTER EXTENSION httplike ADD FUNCTION net.plain; ALTER EXTENSION httplike ADD FUNCTION net.noted;
ALTER EXTENSION httplike ADD PROCEDURE net.does; ALTER EXTENSION httplike ADD TYPE net.vec;
ALTER EXTENSION httplike ADD FUNCTION net.vec_in; ALTER EXTENSION httplike ADD FUNCTION net.vec_out(net.vec);
ALTER EXTENSION httplike ADD FUNCTION net.near; ALTER EXTENSION httplike ADD OPERATOR net.~~~ (net.vec, net.vec);
ALTER EXTENSION httplike ADD FOREIGN DATA WRAPPER elsewhere; ALTER EXTENSION httplike ADD TABLE net.jobs;
UPDATE pg_extension SET extconfig = ARRAY['net.jobs'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'httplike';
INSERT INTO net.jobs VALUES (1);

CREATE TABLE calls (id int PRIMARY KEY, method net.http_method, header net.http_header, said net.http_response, k net.kind,
  up text DEFAULT net.plain('x'), loud text GENERATED ALWAYS AS (net.plain('y')) STORED);
INSERT INTO calls (id, method, header, said, k) VALUES (1, 'GET', ROW('a', 'b,c'), ROW(200, ARRAY[ROW('h', NULL)::net.http_header], 'x', 'b'), 'a');
CREATE INDEX plain ON calls (net.plain(up));
CREATE VIEW called AS SELECT (net.http_get('http://x')).status, (c.said).content FROM calls c;
CREATE FUNCTION asks(m net.http_method) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (net.http_get('http://x')).status; END $$;
CREATE TRIGGER notes AFTER INSERT ON calls FOR EACH ROW EXECUTE FUNCTION net.noted();
GRANT EXECUTE ON FUNCTION net.http_get TO pg_monitor;
CREATE TABLE vecs (id int PRIMARY KEY, v net.vec); INSERT INTO vecs VALUES (1, '[1]');
COMMENT ON COLUMN vecs.v IS 'its'; GRANT SELECT ON vecs TO pg_monitor;
CREATE TABLE of_vecs (id int REFERENCES vecs, more net.vec[] CHECK (more IS NULL)); INSERT INTO of_vecs VALUES (1);
CREATE TABLE free (id int); INSERT INTO free VALUES (1), (2);
CREATE VIEW nearest AS SELECT id FROM free WHERE EXISTS (SELECT FROM vecs v WHERE v.v OPERATOR(net.~~~) v.v);
CREATE FUNCTION takes(net.vec) RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION takes TO pg_monitor;
CREATE SERVER there FOREIGN DATA WRAPPER elsewhere; CREATE USER MAPPING FOR PUBLIC SERVER there OPTIONS (password 'GEHEIM-7731');
CREATE FOREIGN TABLE remote (i int) SERVER there;
CREATE VIEW remotely AS SELECT * FROM remote;
`;

describe("a backup that needs what the scratch lacks", function () {
  this.timeout(240_000);
  const place = useDumps();
  const scratch = useScratch();

  it("17-2 is proven but for what is named: what hangs on a base type, an operator or a wrapper of an extension", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(httplike);
      const backup = await place.take(db);
      expect(JSON.stringify(backup.manifest)).not.to.contain("GEHEIM");
      const proof = await scratch.prove(backup, place.means);
      expect(proof.verdict).to.equal("partly proven");
      expect(proof.unproven.map(({ table }) => table).sort()).to.deep.equal([
        "extension httplike",
        "foreign table public.remote",
        "function public.takes(net.vec)",
        "net.jobs",
        "public.of_vecs",
        "public.vecs",
        "server there",
        "view public.nearest",
        "view public.remotely",
      ]);
      const reason = "needs the extension httplike, which the scratch lacks and which cannot be imitated in that";
      expect(proof.unproven.find(({ table }) => table === "public.vecs")).to.deep.equal({
        table: "public.vecs",
        reason,
      });
    }));
});
