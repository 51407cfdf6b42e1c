-- 10,000 rows, found by their key. The application counts its changes in `stock`, which no answer shows.
CREATE TABLE item (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price integer NOT NULL,
    stock integer NOT NULL
);
INSERT INTO item
SELECT id, 'item ' || lpad(id::text, 5, '0'), id * 7 % 1000, 0 FROM generate_series(1, 10000) AS id;
-- Read where the server loads its module, which it does in counted launches.
CREATE EXTENSION pg_stat_statements;
VACUUM (FREEZE, ANALYZE);
