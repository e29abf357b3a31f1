-- From here on auth.users is locked. Deleting an account deletes its consents and forgets who acted.
ALTER TABLE public.patient_consents
  ADD CONSTRAINT patient_consents_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT patient_consents_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL,
  ADD CONSTRAINT patient_consents_updated_by_fkey
    FOREIGN KEY (updated_by) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.user_consent_preferences
  ADD CONSTRAINT user_consent_preferences_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
