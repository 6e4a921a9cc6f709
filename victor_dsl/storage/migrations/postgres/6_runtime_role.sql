-- Turns may run as another role than the one that migrates (`victor db migrate --runtime-role`). It sees one tenant at a time:
-- only the role that migrates, and its members, see the rows of all tenants where `victor.tenant` is *.
DROP POLICY victor_tenant ON tenant_configs;
CREATE POLICY victor_tenant ON tenant_configs USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON tenant_configs TO CURRENT_USER USING (current_setting('victor.tenant', true) = '*');

DROP POLICY victor_tenant ON tenant_prompt_templates;
CREATE POLICY victor_tenant ON tenant_prompt_templates USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON tenant_prompt_templates TO CURRENT_USER
    USING (current_setting('victor.tenant', true) = '*');

DROP POLICY victor_tenant ON sessions;
CREATE POLICY victor_tenant ON sessions USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON sessions TO CURRENT_USER USING (current_setting('victor.tenant', true) = '*');

DROP POLICY victor_tenant ON session_messages;
CREATE POLICY victor_tenant ON session_messages USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON session_messages TO CURRENT_USER USING (current_setting('victor.tenant', true) = '*');

-- Exporters write the events of all tenants in one batch.
DROP POLICY victor_tenant ON analytics_events;
CREATE POLICY victor_tenant ON analytics_events USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON analytics_events TO CURRENT_USER USING (current_setting('victor.tenant', true) = '*');
CREATE POLICY victor_append ON analytics_events FOR INSERT WITH CHECK (current_setting('victor.tenant', true) = '*');

-- A key is looked up before its tenant is known: \k and the hash show the row with that hash.
DROP POLICY victor_tenant ON api_keys;
CREATE POLICY victor_tenant ON api_keys USING (current_setting('victor.tenant', true) = tenant_id);
CREATE POLICY victor_everyone ON api_keys TO CURRENT_USER USING (current_setting('victor.tenant', true) = '*');
CREATE POLICY victor_key ON api_keys FOR SELECT USING (current_setting('victor.tenant', true) = E'\\k' || key_hash);
