-- One path of the store for all results of an evaluation: while it is valid, so are they.

ALTER TABLE evaluations
  -- The text that refers to them. Null: not all were there when somebody looked, or there are few.
  ADD COLUMN witness text,
  -- Some jobs have no results of their own: what those need is looked for each time.
  ADD COLUMN witness_leaves_out boolean NOT NULL DEFAULT false;

-- The newest one with a witness, of those with a key: a merge queue has hundreds.
CREATE INDEX evaluations_witnessed ON evaluations (reuse_key, id) WHERE witness IS NOT NULL;
