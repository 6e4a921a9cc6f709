-- API keys; only their hashes are stored.
CREATE TABLE IF NOT EXISTS api_keys (
    key_hash TEXT PRIMARY KEY,
    tenant_id TEXT,
    user_id TEXT,
    active INTEGER NOT NULL DEFAULT 1,
    expires_at TEXT,  -- RFC 3339 in UTC
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
