-- Of the customers that a campaign reached, how many bought twice within 30 days,
-- and how many of them both online and in a store?
WITH reached AS (
  SELECT t.campaign_code, l.customer_id, min(t.occurred_at) AS at
  FROM campaign_touches t
  JOIN links l ON l.record_id = t.customer_record
  WHERE t.campaign_code IS NOT NULL AND t.occurred_at IS NOT NULL
  GROUP BY 1, 2
), bought AS (
  SELECT r.campaign_code, r.customer_id,
         count(o.record_id)        AS orders,
         max(o.channel = 'store')  AS offline,
         max(o.channel <> 'store') AS online
  FROM reached r
  LEFT JOIN v_orders o
    ON o.customer_id = r.customer_id
   AND o.ordered_at >= r.at AND o.ordered_at < datetime(r.at, '+30 days')
   AND coalesce(o.kind, 'sale') = 'sale'
  GROUP BY 1, 2
)
SELECT coalesce(c.name, b.campaign_code)                     AS "campaign",
       count(*)                                              AS "reached",
       sum(b.orders >= 1)                                    AS "bought",
       sum(b.orders >= 2)                                    AS "bought twice",
       coalesce(sum(b.offline AND b.online), 0)              AS "online and in store",
       round(100.0 * sum(b.orders >= 2) / count(*), 1)       AS "bought twice, %"
FROM bought b
LEFT JOIN campaigns c ON c.campaign_code = b.campaign_code
GROUP BY b.campaign_code
ORDER BY 6 DESC, 2 DESC
LIMIT 12
