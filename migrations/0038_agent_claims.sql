-- What an agent said of itself at its last start: `systems`, `features`, `slots`. What it is allowed of
-- that (`settings`) may change while it is connected.
ALTER TABLE builders ADD COLUMN claims jsonb;
