-- Settings and prompts of tenants. Existing tables with these names are left as they are.
CREATE TABLE IF NOT EXISTS tenant_configs (
    tenant_id text PRIMARY KEY,
    config jsonb NOT NULL DEFAULT '{}'  -- {"settings": {…}, "vars": {…}}
);
ALTER TABLE tenant_configs
    ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();

CREATE TABLE IF NOT EXISTS tenant_prompt_templates (
    tenant_id text PRIMARY KEY,
    prompt_template text NOT NULL  -- Jinja2
);
ALTER TABLE tenant_prompt_templates
    ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();

-- victor sets `victor.tenant` in each transaction: to one tenant, or to * where it acts for all of them. FORCE applies
-- the policies to the tables' owner too; they never apply to superusers and roles with BYPASSRLS.
ALTER TABLE tenant_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_configs FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS victor_tenant ON tenant_configs;
CREATE POLICY victor_tenant ON tenant_configs USING (current_setting('victor.tenant', true) IN (tenant_id, '*'));

ALTER TABLE tenant_prompt_templates ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_prompt_templates FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS victor_tenant ON tenant_prompt_templates;
CREATE POLICY victor_tenant ON tenant_prompt_templates
    USING (current_setting('victor.tenant', true) IN (tenant_id, '*'));
