-- How late do deliveries of each partner come, and what do customers say?
WITH trips AS (
  SELECT coalesce(d.partner, '?') AS partner, d.order_number, d.status,
         (julianday(d.delivered_at) - julianday(d.promised_at)) * 1440.0 AS minutes
  FROM deliveries d
), asked AS (
  SELECT order_number, count(*) AS tickets, avg(satisfaction) AS satisfaction
  FROM tickets WHERE order_number IS NOT NULL GROUP BY 1
)
SELECT t.partner                                                              AS "partner",
       count(*)                                                               AS "deliveries",
       round(100.0 * sum(t.minutes > 10) / nullif(count(t.minutes), 0), 1)     AS "more than 10 minutes late, %",
       round(avg(t.minutes), 1)                                               AS "minutes late on average",
       round(100.0 * coalesce(sum(a.tickets), 0) / count(*), 1)                AS "tickets per 100",
       round(avg(a.satisfaction), 2)                                           AS "satisfaction (1 to 5)"
FROM trips t
LEFT JOIN asked a ON a.order_number = t.order_number
GROUP BY 1
ORDER BY 3 DESC, 1
