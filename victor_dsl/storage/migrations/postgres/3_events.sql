-- Analytics. `tenant_id` is null for events without a tenant, which are visible only where victor acts for all tenants.
CREATE TABLE analytics_events (
    event_id uuid PRIMARY KEY,
    event_type text NOT NULL,
    timestamp timestamptz NOT NULL,
    session_id text NOT NULL,
    tenant_id text,
    pipeline text NOT NULL,
    plan text NOT NULL,
    variants jsonb NOT NULL DEFAULT '{}',
    event_data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX analytics_events_timestamp ON analytics_events USING brin (timestamp);

ALTER TABLE analytics_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE analytics_events FORCE ROW LEVEL SECURITY;
CREATE POLICY victor_tenant ON analytics_events
    USING (current_setting('victor.tenant', true) IN (coalesce(tenant_id, '*'), '*'));
