-- The key of demo.env, in the table that `victor db migrate victor.postgres.yml` makes.
INSERT INTO api_keys (key_hash, tenant_id, user_id, expires_at) VALUES
    ('sha256:f8823816a3e6b88e7459a5791dcad655f0e5d6e332f13d854103a7503c65b450', 'north', 'ann', '2099-01-01T00:00:00Z');
