-- The engine has archived user_preferences, with its triggers and policies, by now.
DROP FUNCTION public.get_user_preferences(uuid);
DROP FUNCTION public.check_user_preferences();
