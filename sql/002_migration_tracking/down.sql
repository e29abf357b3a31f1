-- The engine has archived both tables, with their triggers and policies, by now.
DROP FUNCTION public.set_migration_duration();
