-- What each tenant used, in the words of SQLite and PostgreSQL alike.
SELECT coalesce(tenant_id, '-') AS tenant, count(*) AS turns,
       sum(CASE WHEN event_data ->> 'outcome' IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS failed,
       coalesce(sum(CAST(event_data ->> 'input_tokens' AS integer)), 0) AS input_tokens,
       coalesce(sum(CAST(event_data ->> 'output_tokens' AS integer)), 0) AS output_tokens,
       coalesce(sum(CAST(event_data ->> 'cost_usd' AS numeric)), 0) AS cost_usd
FROM analytics_events WHERE event_type = 'turn' GROUP BY tenant_id ORDER BY 1;
