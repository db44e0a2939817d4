-- A project is at rest (NOT enabled) when the App may not see its repository any more, or when an
-- operator paused it. Only the second has a time here, so that people are told which of the two it is.
ALTER TABLE projects ADD COLUMN paused_at timestamptz;
