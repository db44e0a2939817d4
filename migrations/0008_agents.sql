-- Agents: programs on build machines that dial in.

ALTER TABLE builders
  -- Counts an agent's sessions, on whichever server: what speaks for an older one is not believed.
  ADD COLUMN agent_generation bigint NOT NULL DEFAULT 0,
  -- Stays the same over restarts of the agent, and tells when a token moved to another machine.
  ADD COLUMN machine_id       text;
