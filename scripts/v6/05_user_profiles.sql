-- v6 shipped without this table, yet the guide's preferences step reads it; some installations have one. Only user_id,
-- language and timezone are certain. Run it as guardian_migrator with search_path public, extensions.
CREATE TABLE user_profiles (
  user_id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
  language text,
  timezone text,
  first_name text,
  last_name text,
  date_of_birth date,
  phone text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users can only access their own profile" ON user_profiles USING (auth.uid() = user_id);
