-- An evaluation whose result is known is copied instead of done again.

-- Git's hash of the files of the commit, once it is known.
ALTER TABLE revisions ADD COLUMN tree text CHECK (tree ~ '^[0-9a-f]{40,64}$');

ALTER TABLE evaluations
  -- Hash of all that decides the result. Only set when the result may stand for others.
  ADD COLUMN reuse_key text,
  -- Until when it may; 'infinity' when nothing outside of the commit had a part in it.
  ADD COLUMN reusable_until timestamptz,
  -- The evaluation that this one was copied from.
  ADD COLUMN reused_from bigint REFERENCES evaluations (id) ON DELETE SET NULL;
CREATE INDEX evaluations_reusable ON evaluations (reuse_key, id) WHERE reuse_key IS NOT NULL;
CREATE INDEX evaluations_reused_from ON evaluations (reused_from) WHERE reused_from IS NOT NULL;
