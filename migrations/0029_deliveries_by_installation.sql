-- Deliveries of an installation are worked off in the order in which they came, many at a time.
ALTER TABLE deliveries ADD COLUMN installation_id bigint;
CREATE INDEX deliveries_waiting ON deliveries (installation_id, received_at) WHERE processed_at IS NULL;
