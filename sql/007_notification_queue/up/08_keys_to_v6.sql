-- From here on auth.users is locked. Deleting an account deletes its messages and addresses.
ALTER TABLE public.notification_queue
  ADD CONSTRAINT notification_queue_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.notification_delivery_channels
  ADD CONSTRAINT notification_delivery_channels_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
