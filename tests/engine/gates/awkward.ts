/** A partitioned table of v6's, with values that look otherwise in each of the ways in which they are written. */
export const awkward = `
  DO $$ BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END $$;
  DELETE FROM public.patient_providers; DROP TABLE public.user_profiles;
  CREATE TYPE public.pair AS (a int, b text);
  CREATE TABLE public.user_profiles (n int, gone int, shard int, name text, code char(6), flag boolean, doc json, bits bytea,
    at timestamptz, tags text[], two public.pair, share real, span interval, twice int GENERATED ALWAYS AS (n * 2) STORED,
    PRIMARY KEY (shard, name)) PARTITION BY LIST (shard);
  ALTER TABLE public.user_profiles DROP COLUMN gone;
  CREATE TABLE public.user_profiles_even PARTITION OF public.user_profiles FOR VALUES IN (0);
  CREATE TABLE public.user_profiles_odd (twice int GENERATED ALWAYS AS (n * 2) STORED, name text NOT NULL, n int, shard int NOT NULL, code char(6), flag boolean,
    doc json, bits bytea, at timestamptz, tags text[], two public.pair, share real, span interval);
  ALTER TABLE public.user_profiles ATTACH PARTITION public.user_profiles_odd FOR VALUES IN (1);
  CREATE TABLE public.patient_allergies_old (PRIMARY KEY (id)) INHERITS (public.patient_allergies);
  INSERT INTO public.patient_allergies_old (allergen, source_document_ids) VALUES ('dust', '{}');
  INSERT INTO public.user_profiles
    SELECT n, n % 2, (ARRAY['', 'NULL', 'null', E'a\tb\nc\r\\d', '{"a", b}', E'\u00a0é\u3000', '\\N', '\\.', ' x ', E'\v\f\b'])[n % 10 + 1] || CASE WHEN n > 20 THEN n::text ELSE repeat('z', n / 10) END,
      'ab', n % 3 = 0, '{"a":  1}', '\\xff00aa5c', '2026-01-02 03:04:05.678+05', ARRAY['x', NULL, 'a,"b'], CASE n % 3 WHEN 0 THEN ROW(NULL, NULL)::public.pair WHEN 1 THEN ROW(n, 'a "b" (c)')::public.pair END,
      0.1, '1 mon 2 days'
    FROM pg_catalog.generate_series(1, 400) n`;
