-- Keys of enforcement points: they ask for decisions and may do nothing else.
alter table api_keys drop constraint api_keys_role_check;
alter table api_keys add constraint api_keys_role_check
  check (role in ('agent', 'observer', 'approver', 'operator', 'admin', 'pep'));
