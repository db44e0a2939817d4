-- Why an agent that is connected gets no more builds for now, in words; NULL: it gets them.
-- Written with its heartbeats, by the server process that it is connected to.
ALTER TABLE builders ADD COLUMN withheld text;
