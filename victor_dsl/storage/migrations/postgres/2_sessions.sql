-- Histories. The key is a SHA-256 of tenant and session, since an index cannot hold ids of any length.
CREATE TABLE sessions (
    session_key bytea PRIMARY KEY,
    tenant_id text NOT NULL,
    session_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_updated_at ON sessions USING brin (updated_at);

-- One row for each turn, so that a turn is stored whole, and once.
CREATE TABLE session_messages (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_key bytea NOT NULL REFERENCES sessions ON DELETE CASCADE,
    tenant_id text NOT NULL,
    turn_id text NOT NULL,
    messages json NOT NULL,  -- a list in the OpenAI chat format; jsonb refuses NULs, which messages may contain
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (session_key, turn_id)
);

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY victor_tenant ON sessions USING (current_setting('victor.tenant', true) IN (tenant_id, '*'));

ALTER TABLE session_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY victor_tenant ON session_messages USING (current_setting('victor.tenant', true) IN (tenant_id, '*'));
