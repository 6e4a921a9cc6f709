-- Analytics. Times are RFC 3339 in UTC with microseconds, so that they sort as text.
CREATE TABLE IF NOT EXISTS analytics_events (
    event_id TEXT PRIMARY KEY,
    event_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    session_id TEXT,
    tenant_id TEXT,
    user_id TEXT,
    pipeline TEXT NOT NULL,
    plan TEXT NOT NULL,
    variants TEXT NOT NULL DEFAULT '{}',
    event_data TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS analytics_events_timestamp ON analytics_events (timestamp);
