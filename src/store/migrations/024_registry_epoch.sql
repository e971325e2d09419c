-- Moves with every change of an agent or a key, whoever makes it and however: what a replica remembers of them is
-- good for as long as this has not moved. It is a row and no sequence, so that nobody sees it move before the
-- change can be seen.
create table registry_epoch (
  only_row boolean primary key default true check (only_row),
  n bigint not null
);
insert into registry_epoch values (true, 1);

create function registry_changed() returns trigger language plpgsql as $$
begin
  update registry_epoch set n = n + 1;
  return null;
end $$;

create trigger registry_changed after insert or update or delete or truncate on agents
  for each statement execute function registry_changed();
create trigger registry_changed after insert or update or delete or truncate on api_keys
  for each statement execute function registry_changed();
alter table agents enable always trigger registry_changed;
alter table api_keys enable always trigger registry_changed;
