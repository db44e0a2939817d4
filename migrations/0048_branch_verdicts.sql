-- What was last said of each branch, so that its next verdict can be told as news: that something
-- broke, or that all is good again. Written only where notifications are configured.
CREATE TABLE branch_verdicts (
  project_id     bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  branch         text NOT NULL,
  -- No reference: history is removed, and what was said stays said.
  evaluation_id  bigint NOT NULL,
  -- When the commit came to the branch: an older one that ends late is no news.
  seen_at        timestamptz NOT NULL,
  failed         boolean NOT NULL,
  PRIMARY KEY (project_id, branch)
);
