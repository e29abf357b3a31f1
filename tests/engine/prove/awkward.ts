/** What makes dumps and copies differ in form, and a comparison raise a false alarm. Run as the superuser, in a v6. */
export const awkward = `
CREATE SCHEMA "Odd ""name";
CREATE TYPE "Odd ""name"."Mood" AS ENUM ('glad', 'sad, very');
CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> '');
CREATE TABLE "Odd ""name"."T 1" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Mixed Case" text, mood "Odd ""name"."Mood",
  doc json, docb jsonb, bytes bytea, amount numeric(10, 2), ratio float8, at timestamptz, span interval, tags text[], s short,
  twice numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO "Odd ""name"."T 1" ("Mixed Case", mood, doc, docb, bytes, amount, ratio, at, span, tags, s)
  SELECT E'tab\\there\\nline \\\\. \\\\N "q" é ' || i, 'sad, very', '{"b": 1,  "a": 2}', '{"b": [1, null]}', decode('00ff0a5c', 'hex'), i, i / 3.0,
    '2026-11-30 08:00:00.123456+00'::timestamptz + i * interval '1 day', '1 mon -2 days', ARRAY['a,b', NULL, '"'], 'x'
  FROM generate_series(1, 50) i;
INSERT INTO "Odd ""name"."T 1" ("Mixed Case") VALUES (NULL), (''), (E'\\\\.');
-- Columns that a parent gets later stand first in the restored child.
CREATE TABLE parent (a int);
CREATE TABLE child (c text) INHERITS (parent);
ALTER TABLE parent ADD COLUMN late text DEFAULT 'was late';
INSERT INTO parent VALUES (1); INSERT INTO child (a, c, late) VALUES (2, 'c', E'l\\tt'), (3, NULL, NULL);
CREATE TABLE dropped (a int, gone text, b int); INSERT INTO dropped VALUES (1, 'x', 2); ALTER TABLE dropped DROP COLUMN gone;
CREATE TABLE part (i int NOT NULL, t text) PARTITION BY RANGE (i);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2 (t text, i int NOT NULL); ALTER TABLE part ATTACH PARTITION part_2 DEFAULT;
CREATE INDEX part_i ON part (i); INSERT INTO part SELECT i * 3, 'p' || i FROM generate_series(1, 90) i;
CREATE UNLOGGED TABLE unlogged AS SELECT i FROM generate_series(1, 10) i;
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE checked (v varchar(9) CHECK (v IN ('a', 'b')), n int CHECK (n BETWEEN 1 AND 5 OR n IS NULL), d date DEFAULT CURRENT_DATE);
INSERT INTO checked VALUES ('a', 1);
CREATE SEQUENCE counted START 7; SELECT nextval('counted'), nextval('counted');
CREATE SEQUENCE unused OWNED BY checked.n;
CREATE VIEW seen AS SELECT v::text AS v, count(*) FILTER (WHERE n > 1) AS many FROM checked WHERE v = ANY (ARRAY['a', 'b']) GROUP BY 1;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen; CREATE UNIQUE INDEX ON kept (v);
CREATE INDEX ON checked (lower(v), n DESC NULLS LAST) WHERE v <> 'b'; CREATE STATISTICS both_of ON v, n FROM checked;
CREATE FUNCTION counts(n int DEFAULT 1, VARIADIC more text[] DEFAULT '{}') RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN n; END $$;
CREATE PROCEDURE runs(INOUT a int) LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
CREATE AGGREGATE sum_of (int) (SFUNC = int4pl, STYPE = int);
CREATE RULE no_delete AS ON DELETE TO dropped DO INSTEAD NOTHING;
ALTER TABLE checked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "mine and yours" ON checked TO authenticated, anon USING (v = 'a') WITH CHECK (true);
GRANT SELECT (v), UPDATE (n) ON checked TO anon; GRANT SELECT ON checked TO guardian_migrator WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION counts FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO anon, authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
COMMENT ON COLUMN checked.v IS 'it''s; "Type: TABLE; Schema: x"';
CREATE PUBLICATION sent FOR TABLE checked (v), part;
CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not in a proof'; END $$;
CREATE EXTENSION hstore SCHEMA "Odd ""name"; CREATE EXTENSION pg_trgm;
CREATE TABLE pairs (h "Odd ""name".hstore); INSERT INTO pairs VALUES ('a => 1');
CREATE INDEX trigrams ON checked USING gin (v gin_trgm_ops);
CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA', 'CREATE EXTENSION') EXECUTE FUNCTION noted();
SELECT lo_from_bytea(0, decode('00010a0a5c2e0a', 'hex')), lo_create(0);
DO $$ BEGIN EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO anon', (SELECT min(oid) FROM pg_largeobject_metadata)); END $$;
`;
