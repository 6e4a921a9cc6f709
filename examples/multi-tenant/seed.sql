-- Customers. In PostgreSQL say SET victor.tenant = '*' first: who acts for all tenants may write all rows.
INSERT INTO tenant_configs (tenant_id, config, active) VALUES
    ('default', '{"vars": {"company": "Acme Cloud"}}', true),
    ('clinic', '{"settings": {"temperature": 0}, "vars": {"company": "the Hill Clinic", "plan": "gold"}}', true),
    ('trial', '{"settings": {"max_tokens": 200, "limits": {"requests_per_minute": 1}}, "vars": {"plan": "trial"}}', true),
    ('former', '{}', false);
INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES
    ('default', 'Answer in plain words.'),
    ('clinic', 'Answer formally. Sign as the team of {{ company }}.');
INSERT INTO api_keys (key_hash, tenant_id, user_id) VALUES
    ('sha256:d4187b0f5a7e66ee112e102d2154accf0c29cc2632580e551663862a985550a0', 'clinic', 'kim');
