-- Whether a pull request's head lies in another repository: code from there is never given access to
-- other private repositories, whoever opened the pull request.
ALTER TABLE revision_sources ADD COLUMN from_fork boolean NOT NULL DEFAULT false;
-- Of those seen before nobody knows.
UPDATE revision_sources SET from_fork = true WHERE kind = 'pull-request';
