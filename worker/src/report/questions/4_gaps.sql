-- Where do data gaps hurt personalisation or reporting?
SELECT gap AS "gap", affected AS "affected", whole AS "of", round(100.0 * affected / nullif(whole, 0), 1) AS "share, %"
FROM (
  SELECT 'customers without an e-mail address' AS gap, sum(email IS NULL) AS affected, count(*) AS whole FROM customers
  UNION ALL SELECT 'customers without a phone number', sum(phone IS NULL), count(*) FROM customers
  UNION ALL SELECT 'customers without any way to reach them', sum(email IS NULL AND phone IS NULL), count(*) FROM customers
  UNION ALL SELECT 'customers without a city', sum(city IS NULL), count(*) FROM customers
  UNION ALL SELECT 'customers without a date of birth', sum(birth_date IS NULL), count(*) FROM customers
  UNION ALL SELECT 'customers who never said yes or no to anything',
    sum(NOT EXISTS (SELECT 1 FROM customer_consents k WHERE k.customer_id = c.customer_id)), count(*) FROM customers c
  UNION ALL SELECT 'orders of nobody we know', sum(customer_record IS NULL), count(*) FROM orders
  UNION ALL SELECT 'order lines of an unknown product',
    sum(NOT EXISTS (SELECT 1 FROM products p WHERE p.product_code = l.product_code)), count(*) FROM order_lines l
  UNION ALL SELECT 'orders of an unknown store',
    sum(store_code IS NOT NULL AND NOT EXISTS (SELECT 1 FROM stores s WHERE s.store_code = o.store_code)), count(*) FROM orders o
  UNION ALL SELECT 'source rows in quarantine', sum(quarantined), sum(rows) FROM quality
)
WHERE whole > 0
ORDER BY 4 DESC, 1
