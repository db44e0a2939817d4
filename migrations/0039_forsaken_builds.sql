-- Builds that a machine was lost with and that wait for another one are looked for every few seconds.
CREATE INDEX builds_forsaken ON builds (id) WHERE state = 'queued' AND infrastructure_failures > 0;
