-- When a key was last used, as far as it was written by now. Apart from the keys themselves: whatever changes one of
-- those makes every replica look all of them up again. Keys of the environment have no row anywhere else.
create table key_uses (
  key_id text primary key,
  used_at timestamptz not null
);
