-- What each installation has written to GitHub within the last hour: the limits of 80 a minute and 500 an
-- hour count all servers together, and do not begin anew when one of them does.
CREATE TABLE github_writes (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  installation_id  bigint NOT NULL,
  -- When they were allowed, before they were made: a server that dies between has counted them.
  at               timestamptz NOT NULL,
  writes           int NOT NULL CHECK (writes >= 0)
);
CREATE INDEX github_writes_recent ON github_writes (installation_id, at);

-- For the question whether a newer commit has taken a branch's or pull request's place.
CREATE INDEX revision_sources_names ON revision_sources (kind, name, seen_at);
