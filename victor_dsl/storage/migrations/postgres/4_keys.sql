-- API keys; only their hashes are stored. The tenant is unknown until the key is found, so victor looks keys up for all tenants.
CREATE TABLE api_keys (
    key_hash text PRIMARY KEY,
    tenant_id text,
    user_id text,
    active boolean NOT NULL DEFAULT true,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY victor_tenant ON api_keys
    USING (current_setting('victor.tenant', true) IN (coalesce(tenant_id, '*'), '*'));
