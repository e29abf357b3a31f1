-- Flag values belong to the stack and are not archived: the table goes with its rows.
DROP TABLE public.feature_flags;
DROP FUNCTION public.disable_feature_for_user(text, uuid);
DROP FUNCTION public.enable_feature_for_user(text, uuid, integer);
DROP FUNCTION public.my_feature_flags();
DROP FUNCTION public.is_feature_enabled_for_user(text, uuid);
DROP FUNCTION public.feature_is_on(text, uuid);
DROP FUNCTION public.feature_flag_seed();
