/**
 * Every column of PostgreSQL's catalogue, 15 to 18: by which statement it is altered, so that a test sees it as drift; or why
 * it is none. A column that a newer server adds is not here, and fails the test until somebody decides.
 */

/** How a column is altered. */
export interface Altered {
  sql: string;
  /** `value`: in a row that was there before. `row`: by a row that comes or goes, because no statement changes it in place. */
  how: "value" | "row";
  /** What stands already when somebody does so. */
  given?: string;
}

/** Why an altered column is no drift, or why none can be altered. */
interface Not {
  not: string;
}

type Columns = Readonly<Record<string, Altered | Not>>;

const alter = (sql: string, given?: string): Altered => ({ sql, how: "value", ...(given ? { given } : {}) });
const remake = (sql: string, given?: string): Altered => ({ sql, how: "row", ...(given ? { given } : {}) });
const not = (reason: string): Not => ({ not: reason });

const oid = not("no statement changes it: what is made again like it was is no drift");
const statistic = not("written by VACUUM and ANALYZE, or by the server as it goes along");
const stays = not("it stays with what it belongs to");
const follows = not("it follows from the types of the columns");
const baseType = not("of base types, which are made of C functions: module.yaml does not know them");

/** What the tests' module makes; as its owner, so that nothing but the one column differs. */
const own = (sql: string): string => `SET LOCAL ROLE guardian_migrator; ${sql}; RESET ROLE`;
const index = (definition: string): Altered =>
  remake(own(`DROP INDEX public.t_n_idx; CREATE INDEX t_n_idx ON public.t ${definition}`));
const unique = (definition: string): Altered =>
  remake(own(`DROP INDEX public.t_n_idx; CREATE UNIQUE INDEX t_n_idx ON public.t ${definition}`));
const check = (definition: string): Altered =>
  remake(`ALTER TABLE public.t DROP CONSTRAINT t_ck; ALTER TABLE public.t ADD CONSTRAINT t_ck ${definition}`);
const key = (definition: string): Altered =>
  remake(
    `ALTER TABLE public.o DROP CONSTRAINT o_fk; ALTER TABLE public.o ADD CONSTRAINT o_fk FOREIGN KEY ${definition}`,
  );
const domain = (definition: string): Altered =>
  remake(own(`DROP DOMAIN public.d; CREATE DOMAIN public.d AS ${definition}`));
const trigger = (definition: string, args = "'a'"): Altered =>
  alter(`CREATE OR REPLACE TRIGGER t_trg ${definition} EXECUTE FUNCTION public.trg(${args})`);
const constraintTrigger = (definition: string): Altered =>
  remake(
    `DROP TRIGGER t_trg ON public.t; CREATE CONSTRAINT TRIGGER t_trg AFTER INSERT ON public.t ${definition} FOR EACH ROW EXECUTE FUNCTION public.trg('a')`,
  );
const replace = (definition: string): Altered => alter(`CREATE OR REPLACE FUNCTION public.f(a integer) ${definition}`);
const refunction = (definition: string): Altered =>
  remake(own(`DROP FUNCTION public.f(integer); CREATE ${definition}`));
const ruled = "CREATE RULE o_rule AS ON DELETE TO public.o WHERE old.x = 1 DO INSTEAD NOTHING";
const rule = (definition: string): Altered =>
  alter(`CREATE OR REPLACE RULE o_rule AS ON DELETE TO public.o ${definition}`, ruled);
const policy = (definition: string): Altered =>
  remake(`DROP POLICY t_pol ON public.t; CREATE POLICY t_pol ON public.t ${definition}`);
const aggregate = (definition: string): Altered =>
  alter(own(`CREATE OR REPLACE AGGREGATE public.agg(integer) (SFUNC = int4pl, STYPE = integer, ${definition})`));
const lenient =
  "CREATE FUNCTION public.fin(integer, integer) RETURNS integer LANGUAGE sql CALLED ON NULL INPUT AS 'SELECT 1';";
const statistics = "CREATE STATISTICS public.st (dependencies) ON n, txt FROM public.t";
const published = "CREATE PUBLICATION pub FOR TABLE public.t";
const detach = alter("ALTER TABLE public.p DETACH PARTITION public.p1");
const child = remake("CREATE TABLE public.child () INHERITS (public.t)");

export const columns: Readonly<Record<string, Columns>> = {
  pg_class: {
    oid,
    relname: alter("ALTER TABLE public.t RENAME TO renamed"),
    relnamespace: alter("ALTER TABLE public.t SET SCHEMA auth"),
    reltype: not("the type of its rows, made with it"),
    reloftype: alter("CREATE TYPE public.ot AS (t integer, x integer); ALTER TABLE public.o OF public.ot"),
    relowner: alter("ALTER TABLE public.t OWNER TO service_role"),
    relam: alter(
      "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; ALTER TABLE public.o SET ACCESS METHOD heap2",
    ),
    relfilenode: not("the file: TRUNCATE, CLUSTER and VACUUM FULL give it a new one"),
    reltablespace: alter("ALTER TABLE public.o SET TABLESPACE guardian_elsewhere"),
    relpages: statistic,
    reltuples: statistic,
    relallvisible: statistic,
    relallfrozen: statistic,
    reltoastrelid: alter("ALTER TABLE public.o ADD COLUMN more text"),
    relhasindex: alter("CREATE UNIQUE INDEX o_x_idx ON public.o (x)"),
    relisshared: not("true of the cluster's own catalogues alone"),
    relpersistence: alter("ALTER TABLE public.o SET UNLOGGED"),
    relkind: remake(own("DROP VIEW public.v; CREATE MATERIALIZED VIEW public.v AS SELECT id, n FROM public.t")),
    relnatts: alter("ALTER TABLE public.o ADD COLUMN more integer"),
    relchecks: alter("ALTER TABLE public.o ADD CHECK (x > 1)"),
    relhasrules: alter("CREATE RULE silent AS ON INSERT TO public.t DO INSTEAD NOTHING"),
    relhastriggers: alter("CREATE TRIGGER more BEFORE INSERT ON public.u EXECUTE FUNCTION public.trg()"),
    relhassubclass: alter("CREATE TABLE public.child () INHERITS (public.t)"),
    relrowsecurity: alter("ALTER TABLE public.o ENABLE ROW LEVEL SECURITY"),
    relforcerowsecurity: alter("ALTER TABLE public.o FORCE ROW LEVEL SECURITY"),
    relispopulated: alter("REFRESH MATERIALIZED VIEW public.m WITH NO DATA"),
    relreplident: alter("ALTER TABLE public.t REPLICA IDENTITY FULL"),
    relispartition: detach,
    relpartbound: alter(
      "ALTER TABLE public.p DETACH PARTITION public.p1; ALTER TABLE public.p ATTACH PARTITION public.p1 FOR VALUES IN (2)",
    ),
    relrewrite: not("set only while the table is rewritten"),
    relfrozenxid: statistic,
    relminmxid: statistic,
    relacl: alter("GRANT SELECT ON public.t TO guardian_operator"),
    reloptions: alter("ALTER TABLE public.t SET (toast.autovacuum_enabled = false)"),
  },
  pg_attribute: {
    attrelid: stays,
    attname: alter("ALTER TABLE public.o RENAME COLUMN x TO y"),
    atttypid: alter("ALTER TABLE public.o ALTER COLUMN x TYPE bigint"),
    attlen: alter("ALTER TABLE public.o ALTER COLUMN x TYPE bigint"),
    attbyval: alter("ALTER TABLE public.o ALTER COLUMN x TYPE text"),
    attalign: alter("ALTER TABLE public.o ALTER COLUMN x TYPE bigint"),
    attnum: not("the place of a column says nothing of it; which comes before which is told"),
    attcacheoff: not("of the server's memory; always -1 in the catalogue"),
    attstattarget: alter("ALTER TABLE public.o ALTER COLUMN x SET STATISTICS 7"),
    attndims: not("PostgreSQL ignores it (manual, 8.15.1)"),
    atttypmod: alter("ALTER TABLE public.t ALTER COLUMN txt TYPE varchar(9)"),
    attstorage: alter("ALTER TABLE public.t ALTER COLUMN txt SET STORAGE EXTERNAL"),
    attcompression: alter("ALTER TABLE public.t ALTER COLUMN txt SET COMPRESSION pglz"),
    attnotnull: alter("ALTER TABLE public.o ALTER COLUMN x SET NOT NULL"),
    atthasdef: alter("ALTER TABLE public.o ALTER COLUMN x SET DEFAULT 1"),
    atthasmissing: remake("ALTER TABLE public.o ADD COLUMN more integer DEFAULT 5"),
    attmissingval: remake("ALTER TABLE public.o ADD COLUMN more integer DEFAULT 5"),
    attidentity: alter("ALTER TABLE public.t ALTER COLUMN id DROP IDENTITY"),
    attgenerated: alter("ALTER TABLE public.t ALTER COLUMN gen DROP EXPRESSION"),
    attisdropped: alter("ALTER TABLE public.o DROP COLUMN x CASCADE"),
    attislocal: detach,
    attinhcount: detach,
    attcollation: alter('ALTER TABLE public.t ALTER COLUMN txt TYPE text COLLATE "C"'),
    attacl: alter("GRANT SELECT (n) ON public.v TO guardian_operator"),
    attoptions: alter("ALTER TABLE public.o ALTER COLUMN x SET (n_distinct = 5)"),
    attfdwoptions: not("of foreign tables, which module.yaml does not know"),
  },
  pg_attrdef: {
    oid,
    adrelid: stays,
    adnum: stays,
    adbin: remake("ALTER VIEW public.v ALTER COLUMN n SET DEFAULT 7"),
  },
  pg_constraint: {
    oid,
    conname: alter("ALTER TABLE public.t RENAME CONSTRAINT t_ck TO renamed"),
    connamespace: alter("ALTER TABLE public.o SET SCHEMA auth"),
    contype: remake(
      "ALTER TABLE public.t DROP CONSTRAINT t_uq; ALTER TABLE public.t ADD CONSTRAINT t_uq CHECK (txt <> '')",
    ),
    condeferrable: alter("ALTER TABLE public.o ALTER CONSTRAINT o_fk DEFERRABLE"),
    condeferred: alter("ALTER TABLE public.o ALTER CONSTRAINT o_fk DEFERRABLE INITIALLY DEFERRED"),
    conenforced: alter("ALTER TABLE public.o ALTER CONSTRAINT o_fk NOT ENFORCED"),
    convalidated: check("CHECK (n > 0) NOT VALID"),
    conrelid: stays,
    contypid: remake("ALTER DOMAIN public.d DROP CONSTRAINT d_ck"),
    conindid: not("the index that stands for it; what it refers to is told"),
    conparentid: detach,
    confrelid: key("(t) REFERENCES public.u (id)"),
    confupdtype: key("(t) REFERENCES public.t (id) ON UPDATE CASCADE"),
    confdeltype: key("(t) REFERENCES public.t (id) ON DELETE CASCADE"),
    confmatchtype: key("(t) REFERENCES public.t (id) MATCH FULL"),
    conislocal: detach,
    coninhcount: detach,
    connoinherit: check("CHECK (n > 0) NO INHERIT"),
    conperiod: remake(
      "ALTER TABLE public.o ADD COLUMN a int4range, ADD COLUMN b int4range, ADD CONSTRAINT o_per UNIQUE (a, b WITHOUT OVERLAPS)",
    ),
    conkey: key("(x) REFERENCES public.t (id)"),
    confkey: key("(t) REFERENCES public.t (n2)"),
    conpfeqop: follows,
    conppeqop: follows,
    conffeqop: follows,
    confdelsetcols: key("(t) REFERENCES public.t (id) ON DELETE SET NULL (t)"),
    conexclop: remake("ALTER TABLE public.o ADD CONSTRAINT o_ex EXCLUDE USING btree (x WITH =)"),
    conbin: check("CHECK (n > 1)"),
  },
  pg_index: {
    indexrelid: stays,
    indrelid: stays,
    indnatts: index("(n) INCLUDE (txt)"),
    indnkeyatts: index("(n, txt)"),
    indisunique: unique("(n)"),
    indnullsnotdistinct: unique("(n) NULLS NOT DISTINCT"),
    indisprimary: remake("ALTER TABLE public.o ADD PRIMARY KEY (x)"),
    indisexclusion: remake("ALTER TABLE public.o ADD CONSTRAINT o_ex EXCLUDE USING btree (x WITH =)"),
    indimmediate: remake(
      "ALTER TABLE public.t DROP CONSTRAINT t_uq; ALTER TABLE public.t ADD CONSTRAINT t_uq UNIQUE (txt) DEFERRABLE",
    ),
    indisclustered: alter("ALTER TABLE public.t CLUSTER ON t_n_idx"),
    indisvalid: remake(own("DROP INDEX public.p_n_idx; CREATE INDEX p_n_idx ON ONLY public.p (n)")),
    indcheckxmin: not("for the server, after an index was built beside writers"),
    indisready: not("false only while an index is built or dropped CONCURRENTLY"),
    indislive: not("false only while an index is dropped CONCURRENTLY"),
    indisreplident: alter("ALTER TABLE public.t REPLICA IDENTITY USING INDEX t_pkey"),
    indkey: index("(n2)"),
    indcollation: index('(txt COLLATE "C")'),
    indclass: index("(txt text_pattern_ops)"),
    indoption: index("(n DESC)"),
    indexprs: index("((n + 1))"),
    indpred: index("(n) WHERE n > 5"),
  },
  pg_trigger: {
    oid,
    tgrelid: stays,
    tgparentid: remake("ALTER TABLE public.p DETACH PARTITION public.p1"),
    tgname: alter("ALTER TRIGGER t_trg ON public.t RENAME TO renamed"),
    tgfoid: alter(
      "CREATE OR REPLACE TRIGGER t_trg BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger('a')",
    ),
    tgtype: trigger("AFTER INSERT ON public.t FOR EACH ROW"),
    tgenabled: alter("ALTER TABLE public.o DISABLE TRIGGER ALL"),
    tgisinternal: not("true of those that stand for a constraint, with which they are told"),
    tgconstrrelid: constraintTrigger("FROM public.o"),
    tgconstrindid: not("of those that stand for a foreign key: its index"),
    tgconstraint: constraintTrigger(""),
    tgdeferrable: constraintTrigger("DEFERRABLE"),
    tginitdeferred: constraintTrigger("DEFERRABLE INITIALLY DEFERRED"),
    tgnargs: trigger("BEFORE INSERT ON public.t FOR EACH ROW", "'a', 'b'"),
    tgattr: trigger("BEFORE UPDATE OF n ON public.t FOR EACH ROW"),
    tgargs: trigger("BEFORE INSERT ON public.t FOR EACH ROW", "'b'"),
    tgqual: trigger("BEFORE INSERT ON public.t FOR EACH ROW WHEN (new.n > 5)"),
    tgoldtable: trigger("AFTER UPDATE ON public.t REFERENCING OLD TABLE AS was FOR EACH STATEMENT"),
    tgnewtable: trigger("AFTER UPDATE ON public.t REFERENCING NEW TABLE AS now FOR EACH STATEMENT"),
  },
  pg_policy: {
    oid,
    polname: alter('ALTER POLICY t_pol ON public.t RENAME TO "a\nb"'),
    polrelid: stays,
    polcmd: policy("FOR DELETE TO authenticated USING (true)"),
    polpermissive: policy("AS RESTRICTIVE FOR SELECT TO authenticated USING (true)"),
    polroles: alter("ALTER POLICY t_pol ON public.t TO authenticated, anon"),
    polqual: alter("ALTER POLICY t_pol ON public.t USING (n > 0)"),
    polwithcheck: remake("CREATE POLICY more ON public.t FOR INSERT TO anon WITH CHECK (true)"),
  },
  pg_rewrite: {
    oid,
    rulename: alter("ALTER RULE o_rule ON public.o RENAME TO renamed", ruled),
    ev_class: remake("CREATE RULE silent AS ON INSERT TO public.t DO INSTEAD NOTHING"),
    ev_type: remake(
      "DROP RULE o_rule ON public.o; CREATE RULE o_rule AS ON UPDATE TO public.o WHERE old.x = 1 DO INSTEAD NOTHING",
      ruled,
    ),
    ev_enabled: alter("ALTER TABLE public.o DISABLE RULE o_rule", ruled),
    is_instead: rule("WHERE old.x = 1 DO ALSO NOTHING"),
    ev_qual: rule("WHERE old.x = 2 DO INSTEAD NOTHING"),
    ev_action: rule("WHERE old.x = 1 DO INSTEAD DELETE FROM public.u"),
  },
  pg_proc: {
    oid,
    proname: alter("ALTER FUNCTION public.f(integer) RENAME TO renamed"),
    pronamespace: alter("ALTER FUNCTION public.f(integer) SET SCHEMA auth"),
    proowner: alter("ALTER FUNCTION public.f(integer) OWNER TO service_role"),
    prolang: replace("RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN a; END'"),
    procost: alter("ALTER FUNCTION public.f(integer) COST 7"),
    prorows: refunction("FUNCTION public.f(a integer) RETURNS SETOF integer ROWS 7 LANGUAGE sql AS 'SELECT a'"),
    provariadic: refunction("FUNCTION public.f(VARIADIC a integer[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    prosupport: alter("ALTER FUNCTION public.f(integer) SUPPORT generate_series_int4_support"),
    prokind: refunction("PROCEDURE public.f(a integer) LANGUAGE sql AS 'SELECT a'"),
    prosecdef: alter("ALTER FUNCTION public.f(integer) SECURITY DEFINER"),
    proleakproof: alter("ALTER FUNCTION public.f(integer) LEAKPROOF"),
    proisstrict: alter("ALTER FUNCTION public.f(integer) STRICT"),
    proretset: refunction("FUNCTION public.f(a integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT a'"),
    provolatile: alter("ALTER FUNCTION public.f(integer) IMMUTABLE"),
    proparallel: alter("ALTER FUNCTION public.f(integer) PARALLEL SAFE"),
    pronargs: refunction("FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    pronargdefaults: alter(
      "CREATE OR REPLACE FUNCTION public.f(a integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT a'",
    ),
    prorettype: refunction("FUNCTION public.f(a integer) RETURNS bigint LANGUAGE sql AS 'SELECT a'"),
    proargtypes: refunction("FUNCTION public.f(a bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    proallargtypes: refunction("FUNCTION public.f(a integer, OUT b integer) LANGUAGE sql AS 'SELECT a'"),
    proargmodes: refunction("FUNCTION public.f(INOUT a integer) LANGUAGE sql AS 'SELECT a'"),
    proargnames: refunction(
      "FUNCTION public.f(b integer) RETURNS integer LANGUAGE sql AS 'SELECT a'".replace("SELECT a", "SELECT b"),
    ),
    proargdefaults: alter(
      "CREATE OR REPLACE FUNCTION public.f(a integer DEFAULT 1) RETURNS integer LANGUAGE sql AS 'SELECT a'",
    ),
    protrftypes: alter(
      `CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
       CREATE OR REPLACE FUNCTION public.f(a integer) RETURNS integer LANGUAGE sql TRANSFORM FOR TYPE integer AS 'SELECT a'`,
    ),
    prosrc: replace("RETURNS integer LANGUAGE sql AS 'SELECT a + 1'"),
    probin: replace("RETURNS integer LANGUAGE c AS '$libdir/pgcrypto', 'pg_random_bytes'"),
    prosqlbody: replace("RETURNS integer LANGUAGE sql RETURN a"),
    proconfig: alter("ALTER FUNCTION public.f(integer) SET search_path = public"),
    proacl: alter("GRANT EXECUTE ON FUNCTION public.f(integer) TO guardian_operator"),
  },
  pg_aggregate: {
    aggfnoid: stays,
    aggkind: not("one of another kind has other arguments, and is another function"),
    aggnumdirectargs: not("one with other arguments is another function"),
    aggtransfn: alter("CREATE OR REPLACE AGGREGATE public.agg(integer) (SFUNC = int4mul, STYPE = integer)"),
    aggfinalfn: aggregate("FINALFUNC = int4abs"),
    aggcombinefn: aggregate("COMBINEFUNC = int4pl"),
    aggserialfn: not("only with states of type internal, which are made of C functions"),
    aggdeserialfn: not("only with states of type internal, which are made of C functions"),
    aggmtransfn: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer"),
    aggminvtransfn: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer"),
    aggmfinalfn: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MFINALFUNC = int4abs"),
    aggfinalextra: alter(
      own(
        `${lenient} CREATE OR REPLACE AGGREGATE public.agg(integer) (SFUNC = int4pl, STYPE = integer, FINALFUNC = public.fin, FINALFUNC_EXTRA)`,
      ),
    ),
    aggmfinalextra: alter(
      own(
        `${lenient} CREATE OR REPLACE AGGREGATE public.agg(integer) (SFUNC = int4pl, STYPE = integer, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MFINALFUNC = public.fin, MFINALFUNC_EXTRA)`,
      ),
    ),
    aggfinalmodify: aggregate("FINALFUNC = int4abs, FINALFUNC_MODIFY = read_write"),
    aggmfinalmodify: aggregate(
      "MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MFINALFUNC = int4abs, MFINALFUNC_MODIFY = read_write",
    ),
    aggsortop: aggregate("SORTOP = <"),
    aggtranstype: alter(
      "CREATE OR REPLACE AGGREGATE public.agg(integer) (SFUNC = int84pl, STYPE = bigint, FINALFUNC = int4, INITCOND = '0')",
    ),
    aggtransspace: aggregate("SSPACE = 64"),
    aggmtranstype: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer"),
    aggmtransspace: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MSSPACE = 64"),
    agginitval: aggregate("INITCOND = '5'"),
    aggminitval: aggregate("MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MINITCOND = '5'"),
  },
  pg_type: {
    oid,
    typname: alter("ALTER TYPE public.e RENAME TO renamed"),
    typnamespace: alter("ALTER TYPE public.e SET SCHEMA auth"),
    typowner: alter("ALTER TYPE public.e OWNER TO service_role"),
    typlen: domain("bigint"),
    typbyval: domain("bigint"),
    typtype: remake(own("DROP TYPE public.k; CREATE TYPE public.k AS ENUM ('a')")),
    typcategory: domain("bigint"),
    typispreferred: baseType,
    typisdefined: not("false of a type that has a name and nothing else: a shell"),
    typdelim: baseType,
    typrelid: remake(own("DROP TYPE public.k; CREATE TYPE public.k AS (a bigint)")),
    typsubscript: baseType,
    typelem: baseType,
    typarray: not("the type of its arrays, made with it"),
    typinput: baseType,
    typoutput: baseType,
    typreceive: baseType,
    typsend: baseType,
    typmodin: baseType,
    typmodout: baseType,
    typanalyze: baseType,
    typalign: domain("bigint"),
    typstorage: domain("bigint"),
    typnotnull: alter("ALTER DOMAIN public.d SET NOT NULL"),
    typbasetype: domain("varchar DEFAULT 'x' CONSTRAINT d_ck CHECK (VALUE <> '')"),
    typtypmod: domain("varchar(5)"),
    typndims: not("PostgreSQL ignores it (manual, 8.15.1)"),
    typcollation: domain(`text COLLATE "C" DEFAULT 'x' CONSTRAINT d_ck CHECK (VALUE <> '')`),
    typdefaultbin: alter("ALTER DOMAIN public.d SET DEFAULT 'y'"),
    typdefault: alter("ALTER DOMAIN public.d SET DEFAULT 'y'"),
    typacl: alter("REVOKE USAGE ON TYPE public.e FROM PUBLIC"),
  },
  pg_enum: {
    oid,
    enumtypid: stays,
    enumsortorder: remake("ALTER TYPE public.e ADD VALUE 'c' BEFORE 'a'"),
    enumlabel: alter("ALTER TYPE public.e RENAME VALUE 'a' TO 'z'"),
  },
  pg_range: {
    rngtypid: stays,
    rngsubtype: remake(own("DROP TYPE public.r; CREATE TYPE public.r AS RANGE (subtype = bigint)")),
    rngmultitypid: remake(
      own("DROP TYPE public.r; CREATE TYPE public.r AS RANGE (subtype = text, multirange_type_name = public.rs)"),
    ),
    rngcollation: remake(own('DROP TYPE public.r; CREATE TYPE public.r AS RANGE (subtype = text, collation = "C")')),
    rngsubopc: remake(
      own("DROP TYPE public.r; CREATE TYPE public.r AS RANGE (subtype = text, subtype_opclass = text_pattern_ops)"),
    ),
    rngcanonical: not("it needs a function in C"),
    rngsubdiff: remake(
      own(
        `CREATE FUNCTION public.apart(text, text) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1.0';
         DROP TYPE public.r; CREATE TYPE public.r AS RANGE (subtype = text, subtype_diff = public.apart)`,
      ),
    ),
  },
  pg_sequence: {
    seqrelid: stays,
    seqtypid: alter("ALTER SEQUENCE public.q AS integer"),
    seqstart: alter("ALTER SEQUENCE public.q START 5"),
    seqincrement: alter("ALTER SEQUENCE public.q INCREMENT 5"),
    seqmax: alter("ALTER SEQUENCE public.q MAXVALUE 5"),
    seqmin: alter("ALTER SEQUENCE public.q MINVALUE -5"),
    seqcache: alter("ALTER SEQUENCE public.t_id_seq CACHE 5"),
    seqcycle: alter("ALTER SEQUENCE public.t_id_seq CYCLE"),
  },
  pg_partitioned_table: {
    partrelid: stays,
    partstrat: not("no statement changes it; a table that is made again lacks its partitions"),
    partnatts: not("no statement changes it; a table that is made again lacks its partitions"),
    partdefid: alter("CREATE TABLE public.rest PARTITION OF public.p DEFAULT"),
    partattrs: not("no statement changes it; a table that is made again lacks its partitions"),
    partclass: not("no statement changes it; a table that is made again lacks its partitions"),
    partcollation: not("no statement changes it; a table that is made again lacks its partitions"),
    partexprs: not("no statement changes it; a table that is made again lacks its partitions"),
  },
  pg_inherits: {
    inhrelid: child,
    inhparent: child,
    inhseqno: child,
    inhdetachpending: not(
      "left by a DETACH … CONCURRENTLY that was cut off, which runs in no transaction; told all the same",
    ),
  },
  pg_publication_rel: {
    oid,
    prpubid: remake(published),
    prrelid: remake("ALTER PUBLICATION pub ADD TABLE public.o", published),
    prqual: remake("ALTER PUBLICATION pub SET TABLE public.t WHERE (n > 0)", published),
    prattrs: remake("ALTER PUBLICATION pub SET TABLE public.t (id, n)", published),
  },
  pg_depend: {
    classid: remake("ALTER EXTENSION pgcrypto ADD TABLE public.u"),
    objid: remake("ALTER EXTENSION pgcrypto ADD FUNCTION public.f(integer)"),
    objsubid: not("that of a column follows from how it is defined"),
    refclassid: remake("ALTER EXTENSION pgcrypto ADD SEQUENCE public.q"),
    refobjid: remake("ALTER TRIGGER t_trg ON public.t DEPENDS ON EXTENSION pgcrypto"),
    refobjsubid: not("that on a column follows from how it is defined"),
    deptype: remake("ALTER FUNCTION public.f(integer) DEPENDS ON EXTENSION pgcrypto"),
  },
  pg_statistic_ext: {
    oid,
    stxrelid: remake(statistics),
    stxname: alter("ALTER STATISTICS public.st RENAME TO renamed", statistics),
    stxnamespace: alter("ALTER STATISTICS public.st SET SCHEMA auth", statistics),
    stxowner: alter("ALTER STATISTICS public.st OWNER TO service_role", statistics),
    stxkeys: remake(`DROP STATISTICS public.st; ${statistics.replace("n, txt", "n, n2")}`, statistics),
    stxstattarget: alter("ALTER STATISTICS public.st SET STATISTICS 7", statistics),
    stxkind: remake(`DROP STATISTICS public.st; ${statistics.replace("dependencies", "mcv")}`, statistics),
    stxexprs: remake(`DROP STATISTICS public.st; ${statistics.replace("n, txt", "n, (n2 + 1)")}`, statistics),
  },
};

/** What has no column of its own, and is seen all the same. */
export const besides: readonly string[] = [
  "ALTER TABLE public.p1 DISABLE TRIGGER p_trg",
  "CREATE TRIGGER more INSTEAD OF INSERT ON public.v FOR EACH ROW EXECUTE FUNCTION public.trg()",
  "CREATE RULE silent AS ON INSERT TO public.v DO INSTEAD NOTHING",
  "ALTER INDEX public.t_pkey SET TABLESPACE guardian_elsewhere",
  "ALTER INDEX public.t_n_idx SET TABLESPACE guardian_elsewhere",
  "ALTER TYPE public.k ADD ATTRIBUTE b text",
  "GRANT USAGE ON SEQUENCE public.t_id_seq TO guardian_operator",
  'CREATE TRIGGER "a\nb" BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.trg()',
  // 16-11: what policies and calls rely on, and is set elsewhere.
  "CREATE FUNCTION public.f(a bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
  "ALTER ROLE authenticated BYPASSRLS",
  "ALTER ROLE anon SUPERUSER",
  "GRANT service_role TO anon; ALTER ROLE service_role BYPASSRLS",
  "CREATE VIEW auth.leak AS SELECT n FROM public.t; GRANT SELECT ON auth.leak TO anon",
  "CREATE VIEW auth.inner AS SELECT n FROM public.t; CREATE VIEW auth.leak AS SELECT n FROM auth.inner; GRANT SELECT (n) ON auth.leak TO PUBLIC",
  "CREATE MATERIALIZED VIEW auth.leak AS SELECT n FROM public.t; GRANT SELECT ON auth.leak TO authenticated",
];

/** What others may make beside a module is no drift as long as it opens nothing. */
export const harmless: readonly string[] = [
  "CREATE VIEW auth.report AS SELECT n FROM public.t; GRANT SELECT ON auth.report TO guardian_operator",
  "CREATE VIEW auth.invoked WITH (security_invoker = on) AS SELECT n FROM public.t; GRANT SELECT ON auth.invoked TO authenticated",
  "CREATE FUNCTION auth.f(a bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
  "ALTER ROLE guardian_operator BYPASSRLS",
];

const cluster = "of the whole server, not of a database";
const roles = `${cluster}; whether users pass row security by them is told with each table`;
const search = "of text search, which module.yaml does not know";
const operators = "of operators and access methods, which module.yaml does not know";
const foreign = "of foreign data, which module.yaml does not know";
const gate = "the assessment names it, and up refuses it until guardian:publications accepts it (assess.test.ts)";

/** Catalogues of which nothing is told, and why. */
export const passedOver: Readonly<Record<string, string>> = {
  pg_am: operators,
  pg_amop: operators,
  pg_amproc: operators,
  pg_auth_members: roles,
  pg_authid: roles,
  pg_cast: "module.yaml does not know casts",
  pg_collation: "module.yaml does not know collations",
  pg_conversion: "module.yaml does not know conversions",
  pg_database: cluster,
  pg_db_role_setting: "settings of roles and databases: sessions set what matters to them",
  pg_default_acl: "rights of what is made later: the assessment names them (assess.test.ts)",
  pg_description: "comments are no drift (README)",
  pg_event_trigger: "of the database: the assessment names them (assess.test.ts)",
  pg_extension: "of the database; what belongs to one, or goes with one, is told by pg_depend",
  pg_foreign_data_wrapper: foreign,
  pg_foreign_server: foreign,
  pg_foreign_table: foreign,
  pg_init_privs: "what extensions' objects began with",
  pg_language: "module.yaml does not know languages",
  pg_largeobject: "rows",
  pg_largeobject_metadata: "rows",
  pg_namespace: "schema public is v6's; who may make objects in it is told by the assessment (neighbours.test.ts)",
  pg_opclass: operators,
  pg_operator: operators,
  pg_opfamily: operators,
  pg_parameter_acl: cluster,
  pg_publication: gate,
  pg_publication_namespace: gate,
  pg_replication_origin: cluster,
  pg_seclabel: "only with a provider of labels, which is a library of the server",
  pg_shdepend: "it follows from owners and rights",
  pg_shdescription: "comments are no drift (README)",
  pg_shseclabel: cluster,
  pg_statistic: "statistics",
  pg_statistic_ext_data: "statistics",
  pg_subscription: cluster,
  pg_subscription_rel: "what this database subscribes to: its rows come from elsewhere, its definitions do not",
  pg_tablespace: cluster,
  pg_transform: "module.yaml does not know transforms; that a function uses one is told",
  pg_ts_config: search,
  pg_ts_config_map: search,
  pg_ts_dict: search,
  pg_ts_parser: search,
  pg_ts_template: search,
  pg_user_mapping: foreign,
};

/** Columns that not every version has. */
export const notEverywhere: readonly string[] = [
  "pg_class.relallfrozen",
  "pg_attribute.attcacheoff",
  "pg_constraint.conenforced",
  "pg_constraint.conperiod",
];
