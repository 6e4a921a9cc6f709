-- Whose session it is; null where it belongs to all users of the tenant. The key is a hash of it, too.
ALTER TABLE sessions ADD COLUMN user_id text;
