-- The user of a turn, as a pseudonym unless the exporter stores users. What happens outside of turns has no session.
ALTER TABLE analytics_events ADD COLUMN user_id text;
ALTER TABLE analytics_events ALTER COLUMN session_id DROP NOT NULL;
