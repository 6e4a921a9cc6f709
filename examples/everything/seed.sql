INSERT INTO tenant_configs (tenant_id, config) VALUES
    ('default', '{}'),
    ('acme', '{"settings": {"max_tokens": 300}, "vars": {"company": "Acme"}}');
INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES
    ('default', 'Be brief.'),
    ('acme', 'You speak for {{ company }}.');
