-- Who made a key, or replaced one by it: whoever could act as an agent does not approve for it.
alter table api_keys add column issued_by text not null default '';
