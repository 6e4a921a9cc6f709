-- Settings and prompts of tenants. Existing tables with these names are left as they are.
CREATE TABLE IF NOT EXISTS tenant_configs (
    tenant_id TEXT PRIMARY KEY,
    config TEXT NOT NULL DEFAULT '{}',  -- JSON: {"settings": {…}, "vars": {…}}
    active INTEGER NOT NULL DEFAULT 1,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS tenant_prompt_templates (
    tenant_id TEXT PRIMARY KEY,
    prompt_template TEXT NOT NULL,  -- Jinja2
    active INTEGER NOT NULL DEFAULT 1,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
